"""The header of one artifact: needs no other file, and two of them, and the ABI's own, go into one source."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.artifact import fake_reference
from tvmsr.artifact.header import header_text, write_header
from tvmsr.artifact.link import API, INCLUDE
from tvmsr.artifact.static import link_static
from tvmsr.errors import UsageError

TWO = """
#include "one.h"
#include "two.h"
#include "one.h"
int main(void) {
    tvmsr_session *a = 0, *b = 0;
    int r = one_open(0, &a) + two_open(0, &b);
    one_close(a);
    two_close(b);
    return r;
}
"""


def test_declares_all_functions():
    text = header_text("imdn")
    assert set(re.findall(r"\bimdn_(\w+)\(", text)) == set(API)
    assert "TVMSR_FN" not in text and "TVMSR_PREFIX" not in text.split("#endif /* TVMSR_H */")[1]
    with pytest.raises(UsageError, match="prefix"):
        header_text("a b")


@pytest.mark.parametrize("compiler", ["cc", "c++"])
@pytest.mark.parametrize("order", ['#include "tvmsr.h"\n{}', '{}\n#include "tvmsr.h"\n'])
def test_with_another_and_with_the_abis_own(tmp_path, compiler, order):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    for prefix in ("one", "two"):
        write_header(tmp_path / f"{prefix}.h", prefix)
    source = tmp_path / f"main.{'c' if compiler == 'cc' else 'cpp'}"
    source.write_text(order.format(TWO) + "void f(void);\nvoid f(void) { tvmsr_close(0); }\n")
    standard = "-std=c99" if compiler == "cc" else "-std=c++11"
    flags = [standard, "-pedantic", "-Wall", "-Wextra", "-Werror", f"-I{INCLUDE}", "-fsyntax-only"]
    subprocess.run([compiler, *flags, source], check=True)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc: apt install gcc")
def test_two_static_libraries_with_their_headers_alone(tmp_path, triple):
    for prefix in ("one", "two"):
        link_static(fake_reference.parts(), tmp_path / f"{prefix}.a", link_triple=triple, prefix=prefix)
        write_header(tmp_path / f"{prefix}.h", prefix)
    (tmp_path / "main.c").write_text(TWO)
    command = ["gcc", "-Wall", "-Werror", "main.c", "one.a", "two.a", "-pthread", "-o", "main"]
    subprocess.run(command, check=True, cwd=tmp_path)
    subprocess.run([tmp_path / "main"], check=True)
