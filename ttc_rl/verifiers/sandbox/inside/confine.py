"""Taking rights away from this process, through system calls alone: Landlock, seccomp, rlimits.

`enter` is called once by the driver, `shut` in every child before it runs a line of a program.
A child may start threads but no process, run no other program, open no socket, signal nobody but
itself, and change no owner, mode or time of a file. Linux on x86-64 and arm64.

Not covered: side channels, `stat` of files outside the read-only folders (Landlock lets names be
seen, not contents), and holes in the kernel itself.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys

TYPE_CHECKING = False  # as typing's, which takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

MOST_FILES = 1000
"""In the scratch folder."""
EPERM, ENOSYS = 1, 38
MAX_SYSCALL = 451  # newer calls (fchmodat2, setxattrat, ...) do not exist for a program
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: number on x86-64, on arm64 (the number that both share stands alone)
_FORBIDDEN = """
execve 59 221  execveat 322 281  fork 57 -  vfork 58 -  setsid 112 157  setpgid 109 154
socket 41 198  connect 42 203  bind 49 200  listen 50 201  accept 43 202  accept4 288 242
ptrace 101 117  process_vm_readv 310 270  process_vm_writev 311 271  process_madvise 440
process_mrelease 448  kcmp 312 272  pidfd_open 434  pidfd_getfd 438  pidfd_send_signal 424
rt_sigqueueinfo 129 138  rt_tgsigqueueinfo 297 240  move_pages 279 239  migrate_pages 256 238
mount 165 40  umount2 166 39  pivot_root 155 41  chroot 161 51  unshare 272 97  setns 308 268
open_tree 428  move_mount 429  fsopen 430  fsconfig 431  fsmount 432  fspick 433
mount_setattr 442  swapon 167 224  swapoff 168 225  reboot 169 142  kexec_load 246 104
kexec_file_load 320 294  init_module 175 105  finit_module 313 273  delete_module 176 106
acct 163 89  quotactl 179 60  quotactl_fd 443  syslog 103 116  settimeofday 164 170
clock_settime 227 112  adjtimex 159 171  clock_adjtime 305 266  sethostname 170 161
setdomainname 171 162  iopl 172 -  ioperm 173 -  personality 135 92  bpf 321 280
perf_event_open 298 241  userfaultfd 323 282  io_uring_setup 425  io_uring_enter 426
io_uring_register 427  add_key 248 217  request_key 249 218  keyctl 250 219
name_to_handle_at 303 264  open_by_handle_at 304 265  fanotify_init 300 262  chmod 90 -
fchmod 91 52  fchmodat 268 53  chown 92 -  fchown 93 55  lchown 94 -  fchownat 260 54
utime 132 -  utimes 235 -  futimesat 261 -  utimensat 280 88  truncate 76 45  setxattr 188 5
lsetxattr 189 6  fsetxattr 190 7  removexattr 197 14  lremovexattr 198 15  fremovexattr 199 16
mknod 133 -  mknodat 259 33  memfd_create 319 279  memfd_secret 447  shmget 29 194
semget 64 190  msgget 68 186  mq_open 240 180  shmat 30 196  shmctl 31 195  semop 65 193
semctl 66 191  semtimedop 220 192  msgsnd 69 189  msgrcv 70 188  msgctl 71 187  mq_unlink 241 181
setpriority 141 140  sched_setparam 142 118  sched_setscheduler 144 119  sched_setaffinity 203 122
sched_setattr 314 274  ioprio_set 251 30  sync 162 81  syncfs 306 267  fallocate 285 47  flock 73 32
inotify_init 253 -  inotify_init1 294 26  inotify_add_watch 254 27  getxattr 191 8  lgetxattr 192 9
fgetxattr 193 10  listxattr 194 11  llistxattr 195 12  flistxattr 196 13
"""
_CLONE, _PRCTL, _FCNTL, _IOCTL = (56, 220), (157, 167), (72, 25), (16, 29)
_KILLS = (62, 129), (200, 130), (234, 131)  # kill, tkill, tgkill
_PRLIMIT, _CLONE3, _CLONE_THREAD = (302, 261), 435, 0x10000
# By fcntl, by ioctl: signals sent through a file; leases and notices on files of others.
_SET_OWNER = (8, 10, 15, 1024, 1026), (0x8901, 0x8902)
_OWN_PRCTL = 1, 62  # outlive the driver; choose with whom others share a core

libc = ctypes.CDLL(None, use_errno=True)


class Unsupported(OSError):
    """This kernel or machine cannot confine a program in the way that was asked for."""


def enter(settings: dict[str, Any]) -> None:
    """Give up the rights that the driver itself gives up, before it reads a program."""
    if settings.get("landlock"):
        settings["bounded"] = _own_scratch(settings)
    if settings.get("uid"):
        _become(settings["uid"], settings["scratch"] if settings["bounded"] else None)
    prctl(1, 9)  # PDEATHSIG: go with the process that started us (a change of user forgets it)
    if prctl(38, 1) != 0:
        raise Unsupported("no_new_privs refused")
    if settings.get("landlock"):
        _landlock(settings["read"], settings["scratch"], settings["bounded"])
    prctl(4, 0)  # not dumpable: no ptrace, no /proc/PID/mem of ours


def shut(settings: Mapping[str, Any], seconds: float) -> None:
    """Give up the rights that a program never has. Nothing gives them back."""
    prctl(1, 9)
    limits = settings["limits"]
    for name, value in {
        "AS": limits["memory_mb"] + settings["interpreter_mb"] << 20,
        "FSIZE": limits["file_mb"] << 20,
        "NOFILE": 64,
        "CORE": 0,
        "NPROC": settings["threads_now"] + limits["threads"],
    }.items():
        _lower(getattr(resource, "RLIMIT_" + name), value)
    cpu = max(1, round(seconds + 0.5))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))  # asked to stop, then made to
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    stack = 128 << 20 if hard == resource.RLIM_INFINITY else min(hard, 128 << 20)
    resource.setrlimit(resource.RLIMIT_STACK, (stack, hard))
    try:
        _seccomp(os.getpid())
    except OSError:
        if settings["seccomp"] == "required":
            raise


def prctl(option: int, value: int) -> int:
    return libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def count_threads() -> int:
    """Count the threads of all processes of this user: what RLIMIT_NPROC counts outside a user
    namespace."""
    total, me = 0, os.getuid()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            entry = os.stat(f"/proc/{name}/task")
        except FileNotFoundError:  # it ended meanwhile
            continue
        total += entry.st_nlink - 2 if entry.st_uid == me else 0
    return total


def _lower(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _become(uid: int, scratch: str | None) -> None:
    """Turn from root to a user that owns nothing, who may still read what the sandbox shows.

    The Python of a container often lives below /root; its files stay readable, and only they:
    the mounts or Landlock decide what is there.
    """
    os.setgroups([])
    prctl(8, 1)  # keep capabilities, all but one of which go below
    try:
        _change_user(uid, scratch)
    except OSError:  # a container without so many users: "nobody", shared
        _change_user(65534, scratch)
    _keep_capabilities(1 << 2)  # CAP_DAC_READ_SEARCH


def _change_user(uid: int, scratch: str | None) -> None:
    os.setresgid(uid, uid, uid)
    if scratch is not None:
        os.chown(scratch, uid, uid)
    os.setresuid(uid, uid, uid)


def _keep_capabilities(mask: int) -> None:
    header = struct.pack("Ii", 0x20080522, 0)
    _check(libc.capset(header, struct.pack("6I", mask, mask, 0, 0, 0, 0)), "capset")


def _own_scratch(settings: dict[str, Any]) -> bool:
    """Mount a small file system in memory over the scratch folder, for this process alone.

    False where neither root nor a user namespace may mount: then a program gets no right to write
    any file, for nothing else bounds how much disk it takes.
    """
    mounts, users = 0x20000, 0x10000000
    root, user, group = os.geteuid() == 0, os.getuid(), os.getgid()
    if libc.unshare(mounts if root else mounts | users) != 0:
        return False
    try:
        if not root:
            maps = ("setgroups", "deny"), ("uid_map", f"{user} {user} 1")
            for name, text in (*maps, ("gid_map", f"{group} {group} 1")):
                with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                    file.write(text)
            settings["threads_now"] = 4  # in a namespace of its own, threads count from here
        size = f"size={4 * settings['limits']['file_mb']}m,nr_inodes={MOST_FILES},mode=700"
        private = libc.mount(b"none", b"/", None, ctypes.c_ulong(0x44000), None) == 0
        path, nothing_special = os.fsencode(settings["scratch"]), ctypes.c_ulong(0xE)
        return private and libc.mount(b"x", path, b"tmpfs", nothing_special, size.encode()) == 0
    except OSError:
        return False
    finally:
        if not root:
            _keep_capabilities(0)


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise Unsupported(code, f"{what}: {os.strerror(code)}")
    return result


# --------------------------------------------------------------------------- Landlock

_READ = 1 << 2 | 1 << 3  # read files, list folders
_WRITE = 1 << 1 | 1 << 5 | 1 << 8  # write, remove and make plain files; no folders, no links


def landlock_abi() -> int:
    """Return the version of Landlock; 0 where the kernel has none, or has it switched off."""
    return max(0, libc.syscall(444, None, ctypes.c_size_t(0), 1))


def _landlock(readable: Sequence[str], scratch: str, writes: bool) -> None:
    abi = landlock_abi()
    if not abi:
        raise Unsupported("this kernel has no Landlock (5.13 or newer has, unless switched off)")
    files = (1 << 13) - 1 | (1 << 13 if abi >= 2 else 0) | (1 << 14 if abi >= 3 else 0)
    files |= 1 << 15 if abi >= 5 else 0
    rules = struct.pack("QQQ", files, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = ctypes.c_size_t(8 if abi < 4 else 16 if abi < 6 else 24)
    ruleset = _check(libc.syscall(444, rules, size, 0), "landlock_create_ruleset")
    write = _READ | (_WRITE | (1 << 14 if abi >= 3 else 0) if writes else 0)
    devices = ["/dev/null", "/dev/zero", "/dev/full"]
    allowed = [(path, _READ) for path in [*readable, "/dev/urandom", "/dev/random"]]
    for path, rights in [
        *allowed,
        *((path, 1 << 1 | 1 << 2) for path in devices),
        (scratch, write),
    ]:
        _allow(ruleset, path, rights)
    _check(libc.syscall(446, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not os.path.isdir(path):
        rights &= 1 << 1 | 1 << 2 | 1 << 14
    rule = struct.pack("=Qi", rights, place)
    _check(libc.syscall(445, ruleset, 1, rule, 0), f"landlock_add_rule {path}")
    os.close(place)


# --------------------------------------------------------------------------- seccomp


def _seccomp(pid: int) -> None:
    rules = _rules(pid)
    program = b"".join(struct.pack("HBBI", *rule) for rule in rules)
    code = ctypes.create_string_buffer(program)
    filter_ = struct.pack("HL", len(rules), ctypes.addressof(code))
    _check(libc.prctl(22, ctypes.c_ulong(2), filter_, 0, 0), "seccomp")


def _rules(pid: int) -> list[tuple[int, int, int, int]]:
    """Return the BPF program: what it names is refused, and so is every call newer than it."""
    machine = os.uname().machine
    if machine not in AUDIT_ARCH or sys.maxsize < 1 << 32:
        raise Unsupported(f"no seccomp rules for {machine}")
    mine = list(AUDIT_ARCH).index(machine)
    refuse, allow = (6, 0, 0, 0x50000 | EPERM), (6, 0, 0, 0x7FFF0000)
    number, arch = (0x20, 0, 0, 0), (0x20, 0, 0, 4)
    rules = [arch, (0x15, 1, 0, AUDIT_ARCH[machine]), (6, 0, 0, 0x80000000), number]
    rules += [(0x25, 0, 1, MAX_SYSCALL), (6, 0, 0, 0x50000 | ENOSYS)]
    rules += [(0x15, 0, 1, _CLONE3), (6, 0, 0, 0x50000 | ENOSYS)]
    for forbidden in _numbers(mine):
        rules += [(0x15, 0, 1, forbidden), refuse]

    def on(call: int, argument: int, tests: list[tuple[int, int, int, int]]) -> None:
        rules.append((0x15, 0, len(tests) + 1, call))
        rules.append((0x20, 0, 0, 16 + 8 * argument))
        rules.extend(tests)

    on(_CLONE[mine], 0, [(0x45, 0, 1, _CLONE_THREAD), allow, refuse])
    for kill in _KILLS:
        on(kill[mine], 0, [(0x15, 0, 1, pid), allow, refuse])
    on(_PRLIMIT[mine], 0, [(0x15, 1, 0, 0), (0x15, 0, 1, pid), allow, refuse])
    options = [rule for option in _OWN_PRCTL for rule in ((0x15, 0, 1, option), refuse)]
    on(_PRCTL[mine], 0, [*options, allow])
    for call, owners in zip((_FCNTL, _IOCTL), _SET_OWNER, strict=True):
        tests = [rule for owner in owners for rule in ((0x15, 0, 1, owner), refuse)]
        on(call[mine], 1, [*tests, allow])
    return [*rules, allow]


def _numbers(mine: int) -> list[int]:
    words, calls = _FORBIDDEN.split(), []
    for i, word in enumerate(words):
        if word[0].isalpha():
            numbers = [w for w in words[i + 1 : i + 3] if not w[0].isalpha()]
            number = numbers[min(mine, len(numbers) - 1)]
            calls += [int(number)] if number != "-" else []
    return calls
