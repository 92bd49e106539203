"""The CMake package and pkg-config: what is called, when, and what is in the files then. The compiler is a stand-in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

import tvmsr
from tests.artifact.test_link import needs_binutils
from tests.examples.cmake import PACKAGE, ROOT, built, configure, make_stub, needs_cmake, project, rebuild, run
from tvmsr.hardware import list_targets

APP = "add_executable(app app.c)\ntarget_link_libraries(app PRIVATE sr)\n"
OTHER_SYSTEM = "set(CMAKE_SYSTEM_NAME Linux)\nset(CMAKE_SYSTEM_PROCESSOR riscv64)\n"


def needed(program) -> tuple[set[str], str]:
    """Libraries that a program asks for, and its runpath."""
    text = subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout
    paths = re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", text)
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", text)), ":".join(paths)


def complaint(done) -> str:
    """The error of a configuration that failed, in one line."""
    assert done.returncode != 0
    return " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("settings", "target"),
    [
        ("CMAKE_SYSTEM_NAME=Linux CMAKE_SYSTEM_PROCESSOR=aarch64", "arm"),
        ("CMAKE_SYSTEM_NAME=Linux CMAKE_SYSTEM_PROCESSOR=armv7-a", "linux-armv7"),
        ("CMAKE_SYSTEM_NAME=Linux CMAKE_SYSTEM_PROCESSOR=armv7l", "linux-armv7"),
        ("CMAKE_SYSTEM_NAME=Linux CMAKE_SYSTEM_PROCESSOR=x86_64", "x86-64-v3"),
        ("CMAKE_SYSTEM_NAME=Android ANDROID=1 ANDROID_ABI=arm64-v8a CMAKE_SYSTEM_PROCESSOR=aarch64", "android-arm64"),
        ("CMAKE_SYSTEM_NAME=Android ANDROID=1 CMAKE_ANDROID_ARCH_ABI=x86_64", "android-x86_64"),
        ("CMAKE_SYSTEM_NAME=Darwin APPLE=1 CMAKE_SYSTEM_PROCESSOR=arm64", "apple-silicon"),
        ("CMAKE_SYSTEM_NAME=Darwin APPLE=1 CMAKE_SYSTEM_PROCESSOR=x86_64", None),
        ("CMAKE_SYSTEM_NAME=Android ANDROID=1 ANDROID_ABI=armeabi-v7a CMAKE_SYSTEM_PROCESSOR=armv7-a", None),
        ("CMAKE_SYSTEM_NAME=Linux CMAKE_SYSTEM_PROCESSOR=riscv64", None),
        ("CMAKE_SYSTEM_NAME=Windows CMAKE_SYSTEM_PROCESSOR=AMD64", None),
    ],
)
def test_target_of_a_system(tmp_path, settings, target):
    needs_cmake()
    script = tmp_path / "ask.cmake"
    ask = 'tvmsr_target_of_system(found me)\nmessage(NOTICE "found ${found}")\n'
    script.write_text(f'include("{PACKAGE}/tvmsrTarget.cmake")\n{ask}')
    done = run("cmake", *[f"-D{setting}" for setting in settings.split()], "-P", script)
    if target is None:
        assert "no target is known" in complaint(done)
    else:
        assert done.stderr.strip() == f"found {target}"
        assert target in list_targets()


def test_compiles_once_and_again_when_something_changed(stub, tmp_path):
    source = tmp_path / "app"
    text = "tvmsr_add_model(sr MODEL net.onnx PLAN plan.json BITS 6 CALIB photos COMPILE_OPTIONS --colour y)\n" + APP
    project(source, text)
    (source / "photos").mkdir()
    for name in ("net.onnx", "plan.json", "photos/a.png"):
        (source / name).write_text(name)
    build = built(source, tmp_path / "build", stub.option)
    words = f"--emit so -o {build}/libsr.so --bits 6 --plan {source}/plan.json --calib {source}/photos --colour y"
    assert [call.split(" --target ")[0] for call in stub.calls] == [f"compile {source}/net.onnx"]
    assert stub.calls[0].endswith(words)

    program = (build / "app").stat().st_mtime_ns
    rebuild(build)
    assert len(stub.calls) == 1 and (build / "app").stat().st_mtime_ns == program, "nothing has changed"
    newer = (build / "libsr.so").stat().st_mtime + 2
    for count, name in enumerate(("net.onnx", "plan.json", "photos/a.png"), 2):
        os.utime(source / name, (newer + 2 * count, newer + 2 * count))
        rebuild(build)
        assert len(stub.calls) == count, name
        os.utime(build / "libsr.so", (newer + 2 * count + 1,) * 2)


def test_a_new_picture_is_seen(stub, tmp_path):
    source = project(tmp_path / "app", "tvmsr_add_model(sr MODEL default:x2 CALIB photos)\n" + APP)
    (source / "photos").mkdir()
    build = built(source, tmp_path / "build", stub.option)
    (source / "photos" / "new.png").write_text("new")
    later = (build / "libsr.so").stat().st_mtime + 2
    os.utime(source / "photos" / "new.png", (later, later))
    rebuild(build)
    assert len(stub.calls) == 2


@needs_binutils
@pytest.mark.parametrize("how", ["MODEL default:x2", "FILE"])
def test_no_build_path_in_what_is_installed(stub, libraries, tmp_path, how):
    install = (
        'set_target_properties(app PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")\n'
        "install(TARGETS app DESTINATION bin)\ninstall(FILES $<TARGET_FILE:sr> DESTINATION lib)\n"
    )
    if how == "FILE":
        how = f"FILE {shutil.copyfile(libraries['sr.so'], tmp_path / 'libsr.so')}"
    call = f"tvmsr_add_{'artifact' if how.startswith('FILE') else 'model'}(sr {how})\n"
    build = built(project(tmp_path / "app", call + APP + install), tmp_path / "build", stub.option)
    assert "libsr.so" in needed(build / "app")[0]
    assert run("cmake", "--install", build, "--prefix", tmp_path / "there").returncode == 0
    names, path = needed(tmp_path / "there" / "bin" / "app")
    assert "libsr.so" in names and not any("/" in name for name in names)
    assert path == "$ORIGIN/../lib"
    shutil.rmtree(build)
    (tmp_path / "libsr.so").unlink(missing_ok=True)
    assert run(tmp_path / "there" / "bin" / "app").returncode == 0


def test_prefixes_and_static_libraries_in_one_program(stub, tmp_path):
    text = (
        "tvmsr_add_model(one MODEL default:x2 PREFIX one STATIC)\n"
        "tvmsr_add_model(two MODEL default:x4 PREFIX two STATIC NO_DEFINE)\n"
        "add_executable(app app.c)\ntarget_link_libraries(app PRIVATE one two)\n"
    )
    build = built(project(tmp_path / "app", text), tmp_path / "build", stub.option)
    assert run(build / "app").returncode == 0
    assert sorted(call.split("--prefix ")[1] for call in stub.calls) == ["one", "two"]


def test_target_is_passed_on_where_it_is_given(stub, tmp_path):
    source = project(tmp_path / "app", "tvmsr_add_model(sr MODEL default:x2 TARGET board.toml STATIC)\n" + APP)
    (source / "board.toml").write_text('extends = "rpi5"\n')
    built(source, tmp_path / "build", stub.option)
    assert f"--target {source}/board.toml --emit static" in stub.calls[0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("tvmsr_add_model(sr)", "tvmsr_add_model(sr): MODEL is missing"),
        ("tvmsr_add_model(sr MODEL no.onnx)", "MODEL: there is no"),
        ("tvmsr_add_model(sr MODEL default:x2 PLAN no.json)", "PLAN: there is no"),
        ("tvmsr_add_model(sr MODEL default:x2 --colour y)", "what is '--colour;y'?"),
        ("tvmsr_add_artifact(sr)", "FILE is missing"),
        ("tvmsr_add_artifact(sr FILE no.so)", "make it with `tvmsr compile`"),
    ],
)
def test_mistakes_are_said_before_anything_is_built(stub, tmp_path, call, words):
    done = configure(project(tmp_path / "app", call + "\n"), tmp_path / "build", f"-Dtvmsr_DIR={PACKAGE}", stub.option)
    assert words in complaint(done)


def test_unknown_system_wants_a_target(stub, tmp_path):
    toolchain = tmp_path / "toolchain.cmake"
    toolchain.write_text(
        OTHER_SYSTEM + "set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)\nset(CMAKE_FIND_ROOT_PATH /nothing)\n"
    )
    options = [f"-Dtvmsr_DIR={PACKAGE}", stub.option, f"-DCMAKE_TOOLCHAIN_FILE={toolchain}"]
    source = project(tmp_path / "app", "tvmsr_add_model(sr MODEL default:x2 TARGET ${TARGET})\n")
    assert "no target is known for Linux on 'riscv64'" in complaint(configure(source, tmp_path / "one", *options))
    assert configure(source, tmp_path / "two", *options, "-DTARGET=rpi5").returncode == 0


def test_installed_package_and_pkg_config(stub, tmp_path):
    done = run("cmake", "-G", needs_cmake(), "-S", ROOT, "-B", tmp_path / "top", "-DTVMSR_TESTS=OFF")
    assert done.returncode == 0, done.stderr
    assert run("cmake", "--install", tmp_path / "top", "--prefix", tmp_path / "first").returncode == 0
    (tmp_path / "first").rename(tmp_path / "moved")  # nothing in it says where it was
    source = project(tmp_path / "app", "tvmsr_add_model(sr MODEL default:x2)\n" + APP)
    done = configure(source, tmp_path / "build", f"-DCMAKE_PREFIX_PATH={tmp_path / 'moved'}", stub.option)
    assert done.returncode == 0, done.stderr
    rebuild(tmp_path / "build")
    commands = (tmp_path / "build" / "CMakeCache.txt").read_text()
    assert f"tvmsr_DIR:PATH={tmp_path}/moved/share/cmake/tvmsr" in commands
    if shutil.which("pkg-config"):
        env = {"PKG_CONFIG_PATH": str(tmp_path / "moved" / "share" / "pkgconfig")}
        folder = run("pkg-config", "--cflags-only-I", "tvmsr", env=env).stdout.strip().removeprefix("-I")
        assert os.path.samefile(folder, tmp_path / "moved" / "include")  # noqa: PTH121


def test_subdirectory_of_an_app(stub, tmp_path):
    text = "tvmsr_add_model(sr MODEL default:x2)\n" + APP + "get_property(all DIRECTORY PROPERTY TESTS)\n"
    before = f"add_subdirectory({ROOT} tvmsr)"
    build = built(project(tmp_path / "app", text, before=before), tmp_path / "build", stub.option)
    assert run(build / "app").returncode == 0
    assert not list(build.rglob("driver_check*")), "our own tests are none of the app's business"


@pytest.mark.parametrize(
    ("asked", "found"), [("", True), ("0.1", True), ("0.2", False), ("1.0", False), ("0.0.9", False)]
)
def test_versions(stub, tmp_path, asked, found):
    source = project(tmp_path / "app", "", before=f"find_package(tvmsr {asked} REQUIRED)")
    done = configure(source, tmp_path / "build", f"-Dtvmsr_DIR={PACKAGE}")
    assert (done.returncode == 0) == found, done.stderr


def test_every_file_says_the_same_version():
    config = (PACKAGE / "tvmsrConfigVersion.cmake").read_text()
    assert f'set(PACKAGE_VERSION "{tvmsr.__version__}")' in config
    assert f"Version: {tvmsr.__version__}\n" in (PACKAGE.parent / "pkgconfig" / "tvmsr.pc").read_text()


def test_compiler_that_is_missing_is_said(tmp_path):
    source = project(tmp_path / "app", "tvmsr_add_model(sr MODEL default:x2)\n")
    options = ["-DTVMSR_EXECUTABLE=TVMSR_EXECUTABLE-NOTFOUND", "-DPython3_EXECUTABLE=/bin/false"]
    tools = make_stub(tmp_path / "bin", {}).folder
    for name in ("cmake", "ninja", "make", "cc", "ld", "as"):
        if shutil.which(name):
            (tools / name).symlink_to(str(shutil.which(name)))
    done = configure(source, tmp_path / "build", f"-Dtvmsr_DIR={PACKAGE}", *options, env={"PATH": str(tools)})
    assert "pip install tvmsr, or set TVMSR_COMMAND" in complaint(done)
