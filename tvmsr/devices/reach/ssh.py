"""A board that one logs in to: the system's own ssh, with its keys, jump hosts and configuration."""

from __future__ import annotations

import os

from tvmsr.devices.reach.far import HOME_FOLDERS
from tvmsr.devices.reach.through import Meanings, ThroughShell
from tvmsr.errors import UsageError

#: Names another ssh than the one in PATH.
VARIABLE = "TVMSR_SSH"

#: No terminal, no questions, nothing forwarded whatever the configuration says, and a cut line is found within 15
#: seconds. A shared connection would outlive us.
_ALWAYS = (
    *("-T", "-a", "-x", "-e", "none"),
    *(
        word
        for option in (
            "BatchMode=yes",
            "ConnectTimeout=10",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=3",
            "ControlMaster=no",
            "ControlPath=none",
            "ClearAllForwardings=yes",
            "RemoteCommand=none",
            "LogLevel=INFO",
        )
        for word in ("-o", option)
    ),
)

#: Options of ssh that take no word after them, and those that do and make sense here.
_FLAGS, _WITH_VALUE = frozenset("46CKkv"), frozenset("bcFIiJlmop")

_MEANINGS: Meanings = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        "{way}: its host key is not the one known here: a system installed anew, or another machine in its place; "
        "where you expect that, `ssh-keygen -R HOST` forgets the old one, and `ssh HOST` shows the new one",
    ),
    (
        r"Host key verification failed|host key is known for",
        "{way}: its host key is not known here; log in once by hand (`ssh HOST`) and compare the fingerprint",
    ),
    (
        r"Permission denied \(([^)]*)\)|Too many authentication failures",
        "{way}: the login was refused; it needs a key that asks for no password: `ssh-copy-id USER@HOST`, and "
        "ssh-agent for a key with a passphrase",
    ),
    (
        r"Could not resolve hostname ([^\s:]+)",
        "no machine is called {0} in this network; check the name, or give its address",
    ),
    (
        r"connect to host (\S+) port (\d+): Connection refused",
        "nothing listens on port {1} of {0}; is its ssh server on (`sudo systemctl enable --now ssh`), and the port "
        "right (--ssh-option -p --ssh-option PORT)?",
    ),
    (
        r"connect to host (\S+) port \d+: "
        r"(?:Connection timed out|Operation timed out|No route to host|Network is unreachable)",
        "{0} does not answer; is it on, and in this network?",
    ),
    (
        r"Bad configuration option|Can't open user config file|terminating, \d+ bad config",
        "ssh's configuration: {whole}",
    ),
    (r"(?:^|\n)(?:unknown option|ssh: illegal option|usage: ssh).*", "ssh does not know an option: {whole}"),
    (r"allows sftp connections only|account is currently not available", "{way}: the account may run no commands"),
    (
        r"not responding|client_loop: send disconnect|closed by remote host|Connection reset|Broken pipe",
        "{way}: the connection was cut",
    ),
    (
        r"Connection closed by|kex_exchange_identification",
        "{way}: its ssh server closed the connection at once; too many logins?",
    ),
)


class Ssh(ThroughShell):
    """host: as ssh takes it: [USER@]HOST, or a name of ~/.ssh/config. options: more words for ssh, such as -p 2222.

    Raises UsageError where they are no such words.
    """

    client = "ssh"
    meanings = _MEANINGS
    folders = HOME_FOLDERS

    def __init__(self, host: str, options: tuple[str, ...] = (), *, triple: str = "") -> None:
        super().__init__(triple)
        _check(host, options)
        self.host = host
        self.options = tuple(options)

    def command(self, remote: str) -> list[str]:
        return [os.environ.get(VARIABLE) or "ssh", *_ALWAYS, *self.options, "--", self.host, remote]

    def describe(self) -> str:
        return f"ssh {self.host}"


def _check(host: str, options: tuple[str, ...]) -> None:
    if not host or host.startswith("-") or any(c.isspace() or not c.isprintable() for c in host):
        raise UsageError(f"--ssh {host!r}: expected [USER@]HOST")
    words = iter(options)
    for word in words:
        letter = word[1:2]
        if word[:1] != "-" or (letter not in _WITH_VALUE and not set(word[1:]) <= _FLAGS) or len(word) < 2:
            raise UsageError(
                f"--ssh-option {word!r}: expected an option of ssh, each word by itself: "
                "--ssh-option -p --ssh-option 2222"
            )
        if letter in _WITH_VALUE and len(word) == 2 and not next(words, ""):
            raise UsageError(f"--ssh-option {word}: needs a value, as another --ssh-option")
