"""A board on this machine: Debian's sshd on a free port, behind the login an emulated CPU with a home of its own."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.devices.conftest import need_emulator
from tests.needs import lacking
from tvmsr.devices.qemu import ARCHITECTURES

#: What stands in the place of the login shell. The commands that arrive are those that a real board would get; two
#: things are not as there: `uname` is ours, and the one program for another CPU is given to the emulator, as the kernel
#: would do it with binfmt_misc.
_LOGIN = """#!/bin/sh
HOME={home} PATH={bin}:$PATH {mark}=1
export HOME PATH {mark}
unset XDG_RUNTIME_DIR
cd "$HOME"
{chatter}
command=$(printf %s "$SSH_ORIGINAL_COMMAND" | sed 's|exec "\\$f"|exec {emulator} "$f"|')
exec {shell} -c "$command"
"""

_UNAME = """#!/bin/sh
case "$1" in -m) echo {machine};; -s) echo Linux;; *) exec /bin/uname "$@";; esac
"""

_SERVER = """Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
ForceCommand {folder}/login
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
LogLevel VERBOSE
"""

#: `raspberrypi.local` is what the documentation calls the board.
_CLIENT = """Host raspberrypi.local
  HostName 127.0.0.1
  HostKeyAlias the-board
  Port {port}
  User {user}
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
"""


class Board:
    """A login to an emulated CPU. config: for `ssh -F`; host: what it is called there."""

    host = "raspberrypi.local"

    def __init__(
        self, folder: Path, *, machine: str = "aarch64", cpu: str = "cortex-a76", shell: str = "/bin/sh"
    ) -> None:
        need_emulator("aarch64")
        self._sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
        if self._sshd is None or shutil.which("ssh") is None:
            lacking("needs ssh and its server: apt-get install openssh-server openssh-client")
        self.folder = folder
        self.home = folder / "home"
        self.config = folder / "ssh_config"
        self.mark = f"TVMSR_BOARD_{secrets.token_hex(6)}"
        self._process: subprocess.Popen[bytes] | None = None
        self._made: Path | None = None
        self.port = _free_port()
        (folder / "bin").mkdir(parents=True)
        self.home.mkdir()
        self.log = folder / "sshd.log"
        self._machine, self._cpu, self._shell = machine, cpu, shell
        self._keys()
        self.behave()

    def behave(self, *, chatter: str = "") -> None:
        """How logins go from now on. chatter: sh commands that a profile would run."""
        row = ARCHITECTURES["aarch64"]
        root = next(root for root in row.roots if Path(root, row.loader).exists())
        emulator = f"{shutil.which('qemu-aarch64')} -L {root} -cpu {self._cpu}"
        values = {"home": self.home, "bin": self.folder / "bin", "mark": self.mark, "emulator": emulator}
        _script(self.folder / "login", _LOGIN.format(**values, shell=self._shell, chatter=chatter or ":"))
        _script(self.folder / "bin" / "uname", _UNAME.format(machine=self._machine))

    def _keys(self) -> None:
        for name in ("host_key", "key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(self.folder / name)]
            subprocess.run(command, check=True)
        shutil.copy(self.folder / "key.pub", self.folder / "authorized_keys")
        host_key = (self.folder / "host_key.pub").read_text()
        (self.folder / "known_hosts").write_text(f"the-board {host_key}")
        user = pwd.getpwuid(os.getuid()).pw_name
        self.config.write_text(_CLIENT.format(port=self.port, user=user, folder=self.folder))
        (self.folder / "sshd_config").write_text(_SERVER.format(port=self.port, folder=self.folder))

    def start(self) -> None:
        assert self._sshd is not None
        separate = Path("/run/sshd")
        if os.getuid() == 0 and not separate.exists():  # where sshd locks its helper in; the system's start makes it
            separate.mkdir(mode=0o755)
            self._made = separate
        with self.log.open("ab") as log:
            command = [self._sshd, "-D", "-e", "-f", str(self.folder / "sshd_config")]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"sshd did not start: {self.log.read_text()}")

    def stop(self) -> None:
        """The server; logins go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)
            self._process = None
        if self._made is not None:
            self._made.rmdir()
            self._made = None

    def processes(self) -> list[int]:
        """What runs behind logins to this board."""
        return processes_with(self.mark)

    def wait_until_idle(self, seconds: float = 20.0) -> None:
        """Until nothing runs there any more."""
        until = time.monotonic() + seconds
        while self.processes() and time.monotonic() < until:
            time.sleep(0.05)
        assert self.processes() == []

    def files(self) -> list[str]:
        """All files in the home."""
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file())

    def __enter__(self) -> Board:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)


def processes_with(mark: str) -> list[int]:
    """Processes of this machine that have a variable in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and f"\0{mark}=".encode() in b"\0" + (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
