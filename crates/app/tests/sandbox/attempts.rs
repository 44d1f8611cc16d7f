//! Attempts to escape the sandbox, to exceed its limits, and to interfere with it. After each the sandbox must be as it
//! was before.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use super::{SandboxLimits, SandboxPool, failed, finished, pool, run, start, within};

/// A program, the error code it must fail with, and a part of the message.
type EscapeAttempt = (&'static str, &'static str, &'static str);

/// Two tools are granted to each: `find` and `shop.pay`.
const TOOLS: [&str; 2] = ["find", "shop.pay"];

/// Names that do not exist.
const NOT_THERE: &[EscapeAttempt] = &[
    ("import socket", "CODE_RAISED", "No module named 'socket'"),
    ("import subprocess", "CODE_RAISED", "No module named 'subprocess'"),
    ("import ctypes", "CODE_RAISED", "No module named 'ctypes'"),
    ("import urllib.request", "CODE_RAISED", "No module named"),
    ("import http.client", "CODE_RAISED", "No module named"),
    ("import shutil", "CODE_RAISED", "No module named 'shutil'"),
    ("import importlib", "CODE_RAISED", "No module named 'importlib'"),
    ("import multiprocessing", "CODE_RAISED", "No module named 'multiprocessing'"),
    ("import threading", "CODE_RAISED", "No module named 'threading'"),
    ("import signal", "CODE_RAISED", "No module named 'signal'"),
    ("import pickle", "CODE_RAISED", "No module named 'pickle'"),
    ("import random", "CODE_RAISED", "No module named 'random'"),
    ("import time", "CODE_RAISED", "No module named 'time'"),
    ("import gc", "CODE_RAISED", "No module named 'gc'"),
    ("from . import secrets", "CODE_", ""),
    ("exec('1')", "CODE_RAISED", "name 'exec' is not defined; it may call find, shop_pay"),
    ("eval('1')", "CODE_RAISED", "name 'eval' is not defined"),
    ("compile('1', '', 'eval')", "CODE_RAISED", "name 'compile' is not defined"),
    ("__import__('os')", "CODE_RAISED", "name '__import__' is not defined"),
    ("__builtins__", "CODE_RAISED", "name '__builtins__' is not defined"),
    ("globals()['open']", "CODE_RAISED", "name 'globals' is not defined"),
    ("vars()", "CODE_RAISED", "name 'vars' is not defined"),
    ("breakpoint()", "CODE_RAISED", "name 'breakpoint' is not defined"),
    ("input()", "CODE_RAISED", "name 'input' is not defined"),
    ("import os\nos.system('id')", "CODE_RAISED", "no attribute 'system'"),
    ("import os\nos.fork()", "CODE_RAISED", "no attribute 'fork'"),
    ("import os\nos.execv('/bin/sh', [])", "CODE_RAISED", "no attribute 'execv'"),
    ("import os\nos.kill(1, 9)", "CODE_RAISED", "no attribute 'kill'"),
    ("import sys\nsys.modules", "CODE_RAISED", "no attribute 'modules'"),
    ("import sys\nsys._getframe()", "CODE_RAISED", "no attribute '_getframe'"),
    ("import sys\nsys.stdout.write('x')", "CODE_RAISED", "no attribute 'write'"),
    ("import sys\nsys.exit(0)", "CODE_RAISED", "no attribute 'exit'"),
    ("raise SystemExit(0)", "CODE_RAISED", ""),
];

/// Paths from existing objects to forbidden ones.
const WALKS: &[EscapeAttempt] = &[
    ("().__class__.__bases__[0].__subclasses__()", "CODE_RAISED", "no attribute '__class__'"),
    ("''.__class__.__mro__", "CODE_RAISED", "no attribute '__class__'"),
    ("getattr([], '__cl' + 'ass__')", "CODE_RAISED", "no attribute '__class__'"),
    ("(lambda: 0).__globals__", "CODE_RAISED", "no attribute '__globals__'"),
    ("(lambda: 0).__code__", "CODE_RAISED", "no attribute '__code__'"),
    ("print.__self__", "CODE_RAISED", "no attribute '__self__'"),
    ("find.__globals__", "CODE_RAISED", "no attribute '__globals__'"),
    ("find.__closure__", "CODE_RAISED", "no attribute '__closure__'"),
    ("type(1).__subclasses__(int)", "CODE_RAISED", "no attribute '__subclasses__'"),
    ("try:\n    1/0\nexcept Exception as e:\n    e.__traceback__.tb_frame", "CODE_RAISED", "no attribute"),
    ("import json\njson.__loader__", "CODE_RAISED", "no attribute '__loader__'"),
    ("import math\nmath.__dict__", "CODE_RAISED", "no attribute"),
    ("'{0.__class__.__init__.__globals__}'.format(1)", "CODE_RAISED", "no attribute '__class__'"),
    ("'{a.__globals__}'.format(a=find)", "CODE_RAISED", "no attribute '__globals__'"),
    ("f'{(1).__class__}'", "CODE_RAISED", "no attribute '__class__'"),
    ("class A:\n    pass\nA.__init__.__globals__", "CODE_RAISED", "no attribute"),
    ("class A(dict):\n    pass", "CODE_INVALID", "inheritance"),
    ("def g():\n    yield 1", "CODE_INVALID", "yield"),
];

/// Files, the environment, the clock.
const HOST: &[EscapeAttempt] = &[
    ("open('/etc/passwd').read()", "CODE_DENIED", "`open` is out of reach"),
    ("open('/tmp/x', 'w')", "CODE_DENIED", "`open` is out of reach"),
    ("open('/proc/self/mem', 'rb')", "CODE_DENIED", "`open` is out of reach"),
    ("with open('../../x') as f:\n    f.read()", "CODE_DENIED", "`open` is out of reach"),
    ("open(0)", "CODE_RAISED", "expected str, bytes or os.PathLike object, not int"),
    ("from pathlib import Path\nPath('/etc/passwd').read_text()", "CODE_DENIED", "`Path.read_text` is out of reach"),
    ("from pathlib import Path\nPath('/tmp/x').write_text('x')", "CODE_DENIED", "is out of reach"),
    ("from pathlib import Path\nPath('/tmp/x').unlink()", "CODE_DENIED", "is out of reach"),
    ("from pathlib import Path\nPath('/').exists()", "CODE_DENIED", "is out of reach"),
    ("import os\nos.listdir('/')", "CODE_DENIED", "is out of reach"),
    ("import os\nos.getenv('HOME')", "CODE_DENIED", "`os.getenv` is out of reach"),
    ("import os\nos.environ", "CODE_DENIED", "`os.environ` is out of reach"),
    ("from datetime import datetime\ndatetime.now()", "CODE_DENIED", "`datetime.now` is out of reach"),
    ("from datetime import date\ndate.today()", "CODE_DENIED", "`date.today` is out of reach"),
    // A program cannot catch a denied operation as an exception.
    ("try:\n    open('/etc/passwd')\nexcept BaseException:\n    pass\n1", "CODE_DENIED", "`open` is out of reach"),
];

/// Tools that were not granted, or that are used other than by a call.
const TOOLS_NOT_GRANTED: &[EscapeAttempt] = &[
    ("send_email(to='x')", "CODE_RAISED", "name 'send_email' is not defined; it may call find, shop_pay"),
    ("pay()", "CODE_RAISED", "name 'pay' is not defined"),
    ("shop.pay(amount=1)", "CODE_RAISED", "name 'shop' is not defined"),
    ("Find()", "CODE_RAISED", "name 'Find' is not defined"),
    ("f\u{131}nd()", "CODE_RAISED", "is not defined"),
    ("find(1)", "CODE_RAISED", "find(): name its arguments"),
    ("find({'a': 1}, a=2)", "CODE_RAISED", "`a` is given twice"),
    ("find({(1, 2): 3})", "CODE_RAISED", "a dict with a key of type `tuple`"),
    ("find(a=find)", "CODE_RAISED", "the argument `a` is"),
    ("find(a={1, 2})", "CODE_RAISED", "the argument `a` is a set"),
    ("x = []\nx.append(x)\nfind(a=x)", "CODE_RAISED", "holds itself"),
    ("x = []\nfor i in range(100):\n    x = [x]\nfind(a=x)", "CODE_RAISED", "more than 64 deep"),
    ("find(a='x' * 2000000)", "CODE_OUTPUT", "more than 1048576 bytes"),
    ("x = 'x' * 300000\nfind(a=1)\nx", "CODE_STATE", "over the limit of 262144"),
    ("import asyncio\nfind(a=1)\nawait shop_pay(amount=1)\n1", "CODE_CALLS", "may make"),
    ("async def f():\n    await shop_pay(amount=1)\nfind(a=1)", "CODE_NOT_AWAITED", "`find(…)` was not awaited"),
];

/// Too much memory. Each with 64 MB and plenty of time.
const MEMORY: &[EscapeAttempt] = &[
    ("x = []\nwhile True:\n    x.append(0)", "CODE_MEMORY", "64 MB"),
    ("x = []\nwhile True:\n    x.append('a' * 1000 + str(len(x)))", "CODE_MEMORY", "64 MB"),
    ("x = {}\nwhile True:\n    x[len(x)] = None", "CODE_MEMORY", "64 MB"),
    ("x = set()\nwhile True:\n    x.add(len(x))", "CODE_MEMORY", "64 MB"),
    ("x = 'a'\nwhile True:\n    x = x + x", "CODE_MEMORY", "64 MB"),
    ("x = b'a'\nwhile True:\n    x += x", "CODE_MEMORY", "64 MB"),
    ("x = ()\nwhile True:\n    x = (x, x, [0] * 100000)", "CODE_MEMORY", "64 MB"),
    ("n = 2\nwhile True:\n    n = n * n", "CODE_MEMORY", "64 MB"),
    ("'a' * 10**12", "CODE_MEMORY", "64 MB"),
    ("[0] * 10**12", "CODE_MEMORY", "64 MB"),
    ("b'a' * 10**12", "CODE_MEMORY", "64 MB"),
    ("1 << 10**12", "CODE_MEMORY", "64 MB"),
    ("9 ** 9 ** 9", "CODE_MEMORY", "64 MB"),
    ("'a'.ljust(10**12)", "CODE_MEMORY", "64 MB"),
    ("'{:{}}'.format(1, 10**9)", "CODE_MEMORY", "64 MB"),
    ("f'{1:{10**9}}'", "CODE_MEMORY", "64 MB"),
    ("list(range(10**12))", "CODE_MEMORY", "64 MB"),
    ("sum([10 ** (10**6 + i) for i in range(10**6)])", "CODE_MEMORY", "64 MB"),
    ("import itertools\nlist(itertools.repeat(1))", "CODE_MEMORY", "64 MB"),
    ("print(*range(10**12))", "CODE_MEMORY", "64 MB"),
    ("''.join(['a' * 100000] * 100000)", "CODE_MEMORY", "64 MB"),
    ("try:\n    x = [0] * 10**12\nexcept BaseException:\n    x = 1\nx", "CODE_MEMORY", "64 MB"),
    // Small inside the interpreter, and larger than any memory once it is serialized.
    ("x = []\nfor i in range(60):\n    x = [x, x]\nx", "CODE_MEMORY", "64 MB"),
    ("x = []\nfor i in range(60):\n    x = [x, x]\nfind(a=x)", "CODE_MEMORY", "64 MB"),
];

/// Too much time. Each with one second.
const TIME: &[EscapeAttempt] = &[
    ("while True:\n    pass", "CODE_TIMEOUT", "longer than 1 s"),
    (
        "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass",
        "CODE_TIMEOUT",
        "1 s",
    ),
    (
        "def f():\n    try:\n        while True:\n            pass\n    finally:\n        f()\nf()",
        "CODE_TIMEOUT",
        "1 s",
    ),
    ("def f():\n    try:\n        return f()\n    finally:\n        return f()\nf()", "CODE_TIMEOUT", "1 s"),
    ("sum(range(10**14))", "CODE_TIMEOUT", "1 s"),
    ("all(map(lambda x: True, range(10**14)))", "CODE_TIMEOUT", "1 s"),
    ("[x for x in range(10**14) if x < 0]", "CODE_TIMEOUT", "1 s"),
    // No check of the interpreter is reached in time, so the process is killed from outside.
    ("x, y = [], []\nfor i in range(40):\n    x, y = [x, x], [y, y]\nx == y", "CODE_TIMEOUT", "ended from outside"),
];

/// Too deep, too long and too much output.
const EXTENT: &[EscapeAttempt] = &[
    ("def f(n):\n    return f(n + 1)\nf(0)", "CODE_RECURSION", "deeper than 1000"),
    ("f = lambda: f()\nf()", "CODE_RECURSION", "deeper than 1000"),
    ("def f(n):\n    return max([n], key=lambda x: f(n - 1))\nf(100)", "CODE_RECURSION", "maximum recursion depth"),
    ("class A:\n    def __repr__(self):\n        return repr(self)\nrepr(A())", "CODE_R", ""),
    (
        "x = []\nfor i in range(5000):\n    x = [x]\ny = []\nfor i in range(5000):\n    y = [y]\nx == y",
        "CODE_RECURSION",
        "",
    ),
    ("x = []\nfor i in range(1000):\n    x = [x]\nx", "CODE_VALUE", "more than 64 deep"),
    ("import json\njson.loads('[' * 100000)", "CODE_RAISED", "recursion limit"),
    ("while True:\n    print('x' * 1000)", "CODE_OUTPUT", "prints more than it may"),
    (
        "while True:\n    try:\n        print('x' * 1000)\n    except BaseException:\n        break\n1",
        "CODE_OUTPUT",
        "10000 bytes",
    ),
    ("'x' * 20000", "CODE_OUTPUT", "its result has 20002 bytes"),
    ("[0] * 10**5", "CODE_OUTPUT", "over the limit of 10000"),
    ("raise ValueError('x' * 10**6)", "CODE_RAISED", "ValueError: xxx"),
    ("{1, 2}", "CODE_VALUE", "a set"),
    ("b'x'", "CODE_VALUE", "bytes"),
    ("float('nan')", "CODE_VALUE", "NaN"),
    ("10 ** 30", "CODE_VALUE", "more than 64 bits"),
    ("x = []\nx.append(x)\nx", "CODE_VALUE", "holds itself"),
    ("find", "CODE_VALUE", "`function`"),
    ("str(10 ** 5000)", "CODE_RAISED", "4300 digits"),
    ("int('1' * 10**6)", "CODE_RAISED", "4300 digits"),
    ("(((", "CODE_INVALID", "SyntaxError"),
    ("import re\nre.match('(a|a|aa)+$(?<!b)', 'a' * 40 + 'c')", "CODE_RAISED", "backtracking"),
];

fn limits(pool: &SandboxPool) -> SandboxLimits {
    SandboxLimits { memory_bytes: 64 << 20, time: Duration::from_secs(60), output_bytes: 10_000, ..pool.limits() }
}

/// Runs all attempts, as many concurrently as there are children. After each, another program is served.
async fn try_all(attempts: &[EscapeAttempt], change: impl Fn(SandboxLimits) -> SandboxLimits) {
    let pool = pool(json!({"children": 4, "wait_ms": 600_000}));
    let limits = change(limits(&pool));
    let tried = attempts.iter().map(async |(source, code, says)| {
        let (found, message) = failed(within(&pool, &start(source, &TOOLS), &limits).await);
        assert!(found.starts_with(code) && message.contains(says), "{source:?}\n{found}: {message}");
        assert_eq!(finished(run(&pool, &start("1 + 1", &[])).await).0, json!(2), "after {source:?}");
    });
    join_all(tried).await;
}

#[tokio::test]
async fn what_is_not_there_cannot_be_used() {
    try_all(NOT_THERE, |limits| limits).await;
}

#[tokio::test]
async fn nothing_leads_from_what_is_there_to_what_is_not() {
    try_all(WALKS, |limits| limits).await;
}

#[tokio::test]
async fn files_environment_and_clock_are_out_of_reach() {
    try_all(HOST, |limits| limits).await;
}

#[tokio::test]
async fn only_granted_tools_can_be_called() {
    try_all(TOOLS_NOT_GRANTED, |limits| SandboxLimits { calls: 1, ..limits }).await;
}

#[tokio::test]
async fn memory_is_bounded_however_it_is_taken() {
    try_all(MEMORY, |limits| limits).await;
}

#[tokio::test]
async fn time_is_bounded_however_it_is_spent() {
    try_all(TIME, |limits| SandboxLimits { memory_bytes: 512 << 20, time: Duration::from_secs(1), ..limits }).await;
}

#[tokio::test]
async fn depth_and_output_are_bounded() {
    try_all(EXTENT, |limits| limits).await;
}

#[test]
fn there_are_enough_attempts() {
    let all = [NOT_THERE, WALKS, HOST, TOOLS_NOT_GRANTED, MEMORY, TIME, EXTENT];
    assert!(all.iter().map(|attempts| attempts.len()).sum::<usize>() >= 60);
}
