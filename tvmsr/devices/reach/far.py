"""What is found on the other side of a shell, and the scripts that look, install and start there.

A script is one line of POSIX sh without quotes that login shells dispute (for_login_shell). What it answers stands on
lines that begin with a word that nobody else knows, so that banners and what profiles print do not confuse.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tvmsr.errors import DeviceError
from tvmsr.hardware.target import architecture

#: Loaders of C libraries by path: instruction set and C library.
LOADERS = {
    "/lib/ld-linux-aarch64.so.1": ("aarch64", "glibc"),
    "/lib64/ld-linux-x86-64.so.2": ("x86_64", "glibc"),
    "/lib/ld-linux-armhf.so.3": ("arm", "glibc"),
    "/lib/ld-musl-aarch64.so.1": ("aarch64", "musl"),
    "/lib/ld-musl-x86_64.so.1": ("x86_64", "musl"),
    "/lib/ld-musl-armhf.so.1": ("arm", "musl"),
}

#: Programs for an instruction set and a C library, as ziglang writes it. Android's are built with the NDK.
TRIPLES = {
    ("aarch64", "glibc"): "aarch64-linux-gnu.2.17",
    ("x86_64", "glibc"): "x86_64-linux-gnu.2.17",
    ("arm", "glibc"): "arm-linux-gnueabihf.2.17",
    ("aarch64", "musl"): "aarch64-linux-musl",
    ("x86_64", "musl"): "x86_64-linux-musl",
    ("arm", "musl"): "arm-linux-musleabihf",
    ("aarch64", "bionic"): "aarch64-linux-android",
    ("x86_64", "bionic"): "x86_64-linux-android",
    ("arm", "bionic"): "arm-linux-androideabi",
}

#: What else can run on a CPU: 64-bit kernels often have 32-bit systems.
_ALSO = {"aarch64": ("aarch64", "arm"), "arm": ("arm",), "x86_64": ("x86_64",)}

_ABIS = {"arm64-v8a": "aarch64", "x86_64": "x86_64", "armeabi-v7a": "arm"}

#: Folders for the server: what has to exist, and what is made below it. The first that programs can run in is taken.
HOME_FOLDERS = (("$HOME", ".cache/tvmsr"), ("$XDG_RUNTIME_DIR", "tvmsr"), ("/tmp", "tvmsr-$(id -u)"))
ANDROID_FOLDERS = (("/data/local/tmp", "tvmsr"), ("$TMPDIR", "tvmsr"), *HOME_FOLDERS)

Folders = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FarSide:
    """What a script said: values by key. Several values of a key are on lines of their own."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def one(self, key: str) -> str:
        return (self.values.get(key) or ("",))[0]

    @property
    def machine(self) -> str:
        return self.one("machine")

    @property
    def triples(self) -> tuple[str, ...]:
        """Of programs that run there, as ziglang writes them, the likeliest first; () where there are none."""
        if self.one("system") != "Linux":
            return ()
        if self.one("abis"):
            kinds = [(_ABIS[abi], "bionic") for abi in self.one("abis").split(",") if abi in _ABIS]
            return tuple(TRIPLES[kind] for kind in kinds)
        sets = _ALSO.get(architecture(self.machine), ())
        found = [LOADERS[path] for path in self.values.get("loader", ()) if LOADERS.get(path, ("",))[0] in sets]
        # A distribution that keeps its loader elsewhere: the C library by what it calls itself.
        libc = "musl" if "musl" in self.one("ldd").lower() else "glibc"
        kinds = sorted(found, key=lambda kind: sets.index(kind[0])) or [(one, libc) for one in sets[:1]]
        return tuple(dict.fromkeys(TRIPLES[kind] for kind in kinds))

    def problem(self) -> str:
        """Why nothing of ours runs there."""
        machine, system = self.machine or "unknown CPU", self.one("system") or "an unknown system"
        if system != "Linux":
            return f"it runs {system}, and there is a server for Linux and Android only; use --rpc with TVM's own there"
        if architecture(machine) == "armv6l":
            return "its CPU is an ARMv6 without NEON, which is not supported"
        return f"it is a {machine}, and there is a server for 64-bit ARM, ARMv7 and x86-64 only"


def folders_script(folders: Folders) -> str:
    """Calls `at PARENT SUB` for each folder whose parent is said to be there."""
    return "; ".join(f'at "{parent}" "{sub}"' for parent, sub in folders)


@dataclass(frozen=True)
class Script:
    """A script and the word before its answers."""

    text: str
    mark: str


def _script(*steps: str) -> Script:
    mark = f"tvmsr-{secrets.token_hex(8)}"
    return Script("; ".join(("LC_ALL=C", "export LC_ALL", "umask 077", f"m={mark}", *steps)), mark)


_LOOK = (
    'echo "$m machine $(uname -m)"',
    'echo "$m system $(uname -s)"',
    'echo "$m abis $(getprop ro.product.cpu.abilist 2>/dev/null)"',
    'echo "$m ldd $(ldd --version 2>&1 | head -n 1)"',
    'for f in {loaders}; do [ -e $f ] && echo "$m loader $f"; done'.format(loaders=" ".join(LOADERS)),
)


def look_script() -> Script:
    """Says what the machine is, then `end`."""
    return _script(*_LOOK, 'echo "$m end"')


def start_script(name: str, folders: Folders, options: str) -> Script:
    """Says what the machine is, then becomes the server after `go FOLDER`; or says `absent` where there is no file."""
    run = 'echo "$m go $1/$2"; exec "$f" --stdio --folder "$1/$2" ' + options
    step = f'at() {{ f="$1/$2/{name}"; [ -n "$1" ] && [ -x "$f" ] && [ -O "$f" ] || return 0; {run}; }}'
    return _script(*_LOOK, step, folders_script(folders), 'echo "$m absent"')


def choose_script(folders: Folders) -> Script:
    """Finds a folder that is ours and lets programs run, makes it where needed: `folder PATH` and `refused PATH WHY`.

    What it writes to find out has no first line of a script: that makes the shell run it, where the system lets it.
    """
    step = (
        'at() { [ -n "$1" ] && [ -d "$1" ] || return 0; d="$1/$2"; mkdir -p "$d" 2>/dev/null; '
        '[ -d "$d" ] && [ -O "$d" ] && [ -w "$d" ] || { echo "$m refused $d: not ours to write to"; return 0; }; '
        '[ -L "$d" ] && { echo "$m refused $d: a link"; return 0; }; t="$d/.try-$$"; '
        'echo "exit 0" > "$t" && chmod 700 "$t" && "$t"; c=$?; rm -f "$t"; '
        '[ $c = 0 ] && { echo "$m folder $d"; exit 0; }; '
        '[ $c = 126 ] && echo "$m refused $d: no programs may run there (noexec)" '
        '|| echo "$m refused $d: cannot be written to, is the disk full?"; rmdir "$d" 2>/dev/null; }'
    )
    return _script(step, folders_script(folders), 'echo "$m end"')


def settle_script(folder: str, new: str, name: str, data: bytes) -> Script:
    """Checks the file that came, gives it its name and removes older ones: `done`, or `damaged SIZE SUM`."""
    checksum = hashlib.sha256(data).hexdigest()
    return _script(
        f'd="{folder}"; t="$d/{new}"; f="$d/{name}"',
        'n=$(wc -c < "$t" | tr -d " ")',
        's=$(sha256sum < "$t" 2>/dev/null | cut -d " " -f 1)',
        f'[ "$n" = {len(data)} ] && [ "${{s:-{checksum}}}" = {checksum} ] '
        '|| { rm -f "$t"; echo "$m damaged $n $s"; exit 0; }',
        'chmod 700 "$t" && mv -f "$t" "$f" || { rm -f "$t"; exit 1; }',
        f'for o in "$d"/{name.rpartition("-")[0]}-*; do [ "$o" = "$f" ] || rm -f "$o"; done',
        # What a client left that ended in the middle of its copy, and not what one copies right now.
        'find "$d" -name ".new-*" -mmin +60 -exec rm -f {} + 2>/dev/null',
        'echo "$m done"',
    )


def remove_script(folders: Folders) -> Script:
    """Deletes what was installed, peers too, and folders that are empty then: `removed PATH` for each file."""
    step = (
        'at() { d="$1/$2"; [ -n "$1" ] && [ -d "$d" ] && [ -O "$d" ] || return 0; '
        'for o in "$d"/tvmsr-device-* "$d"/.new-* "$d"/.try-*; do [ -e "$o" ] && rm -f "$o" && echo "$m removed $o"; '
        'done; for o in "$d"/peers "$d"/s-*; do [ -d "$o" ] && rm -rf "$o"; done; rmdir "$d" 2>/dev/null; return 0; }'
    )
    return _script(step, folders_script(folders), 'echo "$m end"')


def answers(script: Script, output: bytes) -> FarSide:
    """What a script that has ended said."""
    return gathered(line for line in (marked(script, raw) for raw in output.splitlines()) if line is not None)


def marked(script: Script, line: bytes) -> str | None:
    """What a line says after the mark; None where it has none. Text without an end of line may stand before it."""
    _, mark, rest = line.decode("utf-8", "replace").rpartition(script.mark + " ")
    return rest.strip() if mark else None


def gathered(lines: Iterable[str]) -> FarSide:
    values: dict[str, tuple[str, ...]] = {}
    for line in lines:
        key, _, value = line.partition(" ")
        values[key] = (*values.get(key, ()), value)
    return FarSide(values)


def program_for(triple: str) -> Path:
    """tvmsr-device for a triple: built when it is first asked for; Android's must have been built before."""
    from tvmsr.devices.server.build import device_program

    if "android" not in triple:
        return device_program(triple)
    path = android_program(triple)
    if not path.is_file():
        target = next((name for name, made_for in ANDROID_TARGETS.items() if made_for == triple), "android-arm64")
        raise DeviceError(
            f"the server for Android is built with its NDK, once: `tvmsr device build --target {target} "
            "--toolchain NDK/build/cmake/android.toolchain.cmake`"
        )
    return path


#: Targets whose programs ziglang cannot make.
ANDROID_TARGETS = {"android-arm64": "aarch64-linux-android", "android-x86_64": "x86_64-linux-android"}


def android_program(triple: str) -> Path:
    """Where `tvmsr device build` keeps what it built with a toolchain for Android; need not exist."""
    from tvmsr.artifact.zig import cache_folder
    from tvmsr.devices.server.build import sources_digest

    return cache_folder() / "devices" / f"{triple}-{sources_digest()[:16]}" / "tvmsr-device"
