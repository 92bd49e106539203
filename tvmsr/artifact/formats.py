"""Object formats as a table: where our sections are, what hides and exports names, how a shared library is linked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tvmsr.artifact.macho_library import settled
from tvmsr.runtime import macho
from tvmsr.runtime.library import DATA_SECTION, MANIFEST_SECTION, PLAN_SECTION

#: Stock tvm.runtime.load_module finds functions by this prefix; it stays whatever --prefix says.
FFI_SYMBOL = "__tvm_ffi_sr_upscale"

#: Pages of Android and Apple. On a system with smaller ones it costs address space, no bytes.
PAGE = 16384
#: Linux on 64-bit ARM may be built with these.
_LARGEST_PAGE = 65536


def page_of(link_triple: str) -> int:
    """What segments are aligned to: the largest page of the systems that this triple stands for, bytes."""
    return _LARGEST_PAGE if link_triple.startswith("aarch64-linux-gnu") else PAGE


@dataclass(frozen=True)
class ObjectFormat:
    """One kind of object file.

    suffix: of a shared library; symbol: what C names begin with; manifest, data, plan: the assembler's directive that
    opens each section; hide: the one that keeps a name inside the library; end: closes the text; exports: the text of
    the file that says what is visible; link_flags: from that file, the name of the result and the page;
    hides_kernels: the linker goes by the objects and not by that file, so kernels, which are made visible, must be
    hidden in them; finish: what is to be done to a library that ziglang linked, None: nothing; no_static: why there are
    no static libraries, "" where there are.
    """

    name: str
    suffix: str
    symbol: str
    manifest: str
    data: str
    plan: str
    hide: str
    end: str
    exports: Callable[[list[str]], str]
    link_flags: Callable[[Path, str, int], list[str]]
    hides_kernels: bool = False
    finish: Callable[[bytes], bytes] | None = None
    no_static: str = ""


def _version_script(names: list[str]) -> str:
    return f"{{ global: {' '.join(f'{name};' for name in names)} local: *; }};\n"


def _elf_flags(exports: Path, name: str, page: int) -> list[str]:
    """The library does not know its own name: equal inputs give equal bytes whatever it is called."""
    del name
    return [
        "-shared",
        "-Wl,--no-undefined",
        "-Wl,-Bsymbolic",
        f"-Wl,--version-script={exports}",
        f"-Wl,-z,max-page-size={page}",
        # What becomes read-only after loading ends at a page's end, whatever the page size of the system.
        f"-Wl,-z,common-page-size={page}",
        "-Wl,-z,relro",
        "-Wl,-z,now",
        "-Wl,-z,noexecstack",
        "-s",
        "-pthread",
    ]


def _symbol_list(names: list[str]) -> str:
    return "".join(f"_{name}\n" for name in names)


def _macho_flags(exports: Path, name: str, page: int) -> list[str]:
    """An app finds the library in its own folders (@rpath); install_name_tool has room for another name."""
    del page  # the linker knows
    return [
        "-dynamiclib",
        f"-Wl,-install_name,@rpath/{name}",
        "-Wl,-headerpad_max_install_names",
        f"-Wl,-exported_symbols_list,{exports}",
        "-Wl,-x",
    ]


ELF = ObjectFormat(
    name="ELF",
    suffix=".so",
    symbol="",
    manifest=f'.section {MANIFEST_SECTION},"a",%progbits',  # %progbits, not @progbits: the same for every CPU
    data=f'.section {DATA_SECTION},"a",%progbits',
    plan=f'.section {PLAN_SECTION},"",%progbits',
    hide=".hidden",
    end='.section .note.GNU-stack,"",%progbits',
    exports=_version_script,
    link_flags=_elf_flags,
)

MACHO = ObjectFormat(
    name="Mach-O",
    suffix=".dylib",
    symbol="_",
    # no_dead_strip: nothing in the library refers to the plan.
    manifest=f".section {','.join(macho.SECTIONS[MANIFEST_SECTION])},regular,no_dead_strip",
    data=f".section {','.join(macho.SECTIONS[DATA_SECTION])}",
    plan=f".section {','.join(macho.SECTIONS[PLAN_SECTION])},regular,no_dead_strip",
    hide=".private_extern",
    end="",
    exports=_symbol_list,
    link_flags=_macho_flags,
    hides_kernels=True,
    finish=settled,
    no_static="names in a static library for macOS cannot be hidden by ziglang's tools; link the .dylib",
)

_MACHO_SYSTEMS = ("macos", "darwin", "apple")


def format_of(link_triple: str) -> ObjectFormat:
    """What the system of a triple loads."""
    return MACHO if any(system in link_triple for system in _MACHO_SYSTEMS) else ELF


def data_assembly(form: ObjectFormat) -> str:
    """Bytes from files into sections, fast at any size: manifest.json, data.bin and plan.bin of the current folder."""
    return "\n".join(
        [
            form.manifest,
            *_label(form, "sr_manifest"),
            '.incbin "manifest.json"',
            *_label(form, "sr_manifest_end"),
            ".byte 0",
            form.data,
            ".balign 64",
            *_label(form, "sr_data"),
            '.incbin "data.bin"',
            *_label(form, "sr_data_end"),
            ".zero 64",
            form.plan,
            '.incbin "plan.bin"',
            form.end,
            "",
        ]
    )


def _label(form: ObjectFormat, name: str) -> list[str]:
    symbol = form.symbol + name
    return [f".globl {symbol}", f"{form.hide} {symbol}", f"{symbol}:"]
