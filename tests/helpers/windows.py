"""Takes from ppcartoon's own modules what Windows lacks; the libraries keep it."""

import builtins
import os
import signal
import sys
import types
import warnings
from pathlib import Path

MODULES = {"crypt", "curses", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "spwd", "syslog"}
MODULES |= {"termios", "tty"}
FUNCTIONS = """
    chown chroot confstr copy_file_range ctermid eventfd fchdir fchown fdatasync fork forkpty fpathconf fstatvfs fwalk
    getegid geteuid getgid getgrouplist getgroups getloadavg getpgid getpgrp getpriority getrandom getresgid getresuid
    getsid getuid getxattr initgroups killpg lchown listxattr lockf major makedev memfd_create minor mkfifo mknod nice
    openpty pathconf pidfd_open pipe2 posix_fadvise posix_fallocate posix_spawn posix_spawnp pread preadv pwrite pwritev
    readv register_at_fork removexattr sched_getaffinity sched_getparam sched_getscheduler sched_setaffinity sched_yield
    sendfile setegid seteuid setgid setgroups setns setpgid setpriority setregid setresuid setreuid setsid setuid
    setxattr splice statvfs sync sysconf tcgetpgrp tcsetpgrp ttyname uname unshare wait wait3 wait4 waitid writev
    O_CLOEXEC O_DIRECT O_DIRECTORY O_DSYNC O_NOCTTY O_NOFOLLOW O_NONBLOCK O_PATH O_SYNC O_TMPFILE WNOHANG
    kill
"""  # the last is there, but ends the process whatever the signal
SIGNALS = {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM", "SIG_DFL", "SIG_IGN"}
OTHERS = {"alarm", "getitimer", "pause", "pthread_kill", "pthread_sigmask", "setitimer", "siginterrupt", "sigwait"}


class StandIn(types.ModuleType):
    """A module without some of its attributes, and with others changed."""

    def __init__(self, module, absent=(), **changed):
        super().__init__(module.__name__)
        self.__dict__.update(changed, _module=module, _absent=frozenset(absent))

    def __getattr__(self, name):
        if name in self._absent:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} on Windows")
        return getattr(self._module, name)


def pretend():
    """From now on, in this process, our modules find what they would on Windows.

    Their `os` and `signal` lack what only POSIX has, `sys.platform` is "win32", POSIX-only modules are missing, open
    files can be neither replaced nor removed, and text files without an encoding are errors.
    """
    stand_ins = {
        "os": StandIn(os, FUNCTIONS.split()),
        "signal": StandIn(signal, posix_signals()),
        "sys": StandIn(sys, platform="win32"),
    }
    import_module = builtins.__import__

    def import_for(name, globals=None, locals=None, fromlist=(), level=0):
        if level or not is_ours(globals or {}):
            return import_module(name, globals, locals, fromlist, level)
        if name.partition(".")[0] in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return stand_ins.get(name) or import_module(name, globals, locals, fromlist, level)

    builtins.__import__ = import_for
    sys.addaudithook(keep_open_files)
    warnings.filterwarnings("error", category=EncodingWarning, module="ppcartoon")


def posix_signals():
    return {name for name in vars(signal) if name.startswith("SIG")} - SIGNALS | OTHERS


def is_ours(namespace):
    return namespace.get("__name__", "").partition(".")[0] == "ppcartoon"


def keep_open_files(event, arguments):
    """Refuses to rename, replace or remove files that this process has open; temporary files of Python are exempt."""
    if event not in ("os.rename", "os.remove") or sys._getframe(1).f_globals["__name__"] == "tempfile":
        return
    paths = {os.path.realpath(path) for path in arguments if isinstance(path, (str, bytes, Path))}
    for descriptor in os.listdir("/proc/self/fd"):
        if os.path.realpath(f"/proc/self/fd/{descriptor}") in paths:
            raise PermissionError(13, "the file is in use", *paths)
