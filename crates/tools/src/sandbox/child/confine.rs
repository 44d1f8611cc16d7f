//! Drops all privileges permanently, on Linux.
//!
//! The steps run in this order, each of them checked:
//!
//! 1. Files other than the three standard ones are closed.
//! 2. The environment must contain nothing but the allocator's options, as the parent sets it.
//! 3. The process cannot be inspected or traced.
//! 4. It has limits on memory, CPU time, files, processes and core dumps.
//! 5. It has no capabilities and can gain none.
//! 6. A filter kills it at any system call that an idle interpreter does not need. The allowed calls include none
//!    that opens, connects, starts or sends, and reading and writing are limited to the standard files.

use std::collections::BTreeMap;
use std::num::TryFromIntError;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, nice, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Compare, SeccompCondition as Condition,
    SeccompFilter, SeccompRule as Rule,
};

use super::{ALLOCATOR, ChildArguments};

/// Standard input, output and error.
const STANDARD_FILES: i32 = 3;
/// The interpreter's own stack. The limit on call depth takes effect well before it.
const STACK_BYTES: u64 = 16 << 20;
/// Nice value: half the weight of other processes under contention, so a program gets half a processor.
const NICENESS: i32 = 3;

/// Confines the process, and returns the memory that it may ever use.
///
/// # Errors
/// The step that failed, and why. The process must then not run a program.
pub(super) fn confine(arguments: &ChildArguments) -> Result<u64, String> {
    close_files()?;
    if !std::env::vars_os().eq(ALLOCATOR.map(|(name, value)| (name.into(), value.into()))) {
        return Err("its environment is not what it is started with".to_owned());
    }
    step("hiding from other processes", set_dumpable_behavior(DumpableBehavior::NotDumpable))?;
    step("lowering its priority", nice(NICENESS))?;
    let memory_bytes = limit(arguments)?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    step("giving up capabilities", set_capabilities(None, sets))?;
    step("giving up new privileges", set_no_new_privs(true))?;
    let filter = filter().map_err(|error| format!("its filter of system calls cannot be built: {error}"))?;
    step("filtering its system calls", seccompiler::apply_filter(&filter))?;
    Ok(memory_bytes)
}

fn step<T, E: std::fmt::Display>(what: &str, done: Result<T, E>) -> Result<(), String> {
    done.map(drop).map_err(|error| format!("{what}: {error}"))
}

/// Closes files that the parent left open.
fn close_files() -> Result<(), String> {
    let listed = std::fs::read_dir("/proc/self/fd").map_err(|error| format!("listing open files: {error}"))?;
    let open: Vec<i32> = listed.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for file in open.into_iter().filter(|file| *file >= STANDARD_FILES) {
        // The directory listing itself is among them, and already closed.
        let _ = nix::unistd::close(file);
    }
    Ok(())
}

fn limit(arguments: &ChildArguments) -> Result<u64, String> {
    let at_rest = idle_usage()?;
    let memory_bytes = at_rest.memory.saturating_add(arguments.memory_bytes);
    let limits = [
        (Resource::Stack, STACK_BYTES),
        // An allocator may reserve far more addresses than it uses: the limit applies to writable memory.
        (Resource::Data, memory_bytes),
        (Resource::As, at_rest.addresses.saturating_add(arguments.memory_bytes)),
        (Resource::Cpu, arguments.cpu_seconds.saturating_add(1)),
        (Resource::Nofile, 0),
        (Resource::Nproc, 0),
        (Resource::Fsize, 0),
        (Resource::Memlock, 0),
        (Resource::Msgqueue, 0),
        (Resource::Core, 0),
    ];
    for (resource, most) in limits {
        // The parent may have set a lower limit, which only the parent could raise.
        let most = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
        // At the soft limit of CPU time, the signal states the cause; at the hard limit it is a plain kill.
        let most_now = if resource == Resource::Cpu { most.saturating_sub(1) } else { most };
        let limit = Rlimit { current: Some(most_now), maximum: Some(most) };
        step("limiting itself", setrlimit(resource, limit))?;
    }
    Ok(memory_bytes)
}

/// Current usage of the process, in bytes.
struct IdleUsage {
    /// Private writable memory.
    memory: u64,
    /// Address space, with its stack at its largest.
    addresses: u64,
}

fn idle_usage() -> Result<IdleUsage, String> {
    let sizes = std::fs::read_to_string("/proc/self/statm").map_err(|error| format!("reading its size: {error}"))?;
    let page = u64::try_from(rustix::param::page_size()).map_err(|error| error.to_string())?;
    let bytes = |place: usize| {
        let pages: Option<u64> = sizes.split_whitespace().nth(place).and_then(|pages| pages.parse().ok());
        pages.map(|pages| pages.saturating_mul(page)).ok_or_else(|| "reading its size: no number of pages".to_owned())
    };
    Ok(IdleUsage { memory: bytes(5)?, addresses: bytes(0)?.saturating_add(STACK_BYTES) })
}

/// Builds the filter, which kills the process at every call that is not allowed.
fn filter() -> Result<BpfProgram, Box<dyn std::error::Error>> {
    let filter = SeccompFilter::new(
        allowed()?,
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?;
    Ok(filter.try_into()?)
}

/// The calls that an idle interpreter needs. An empty list of rules allows the call whatever its arguments.
fn allowed() -> Result<BTreeMap<i64, Vec<Rule>>, Box<dyn std::error::Error>> {
    let own = u64::from(std::process::id());
    let is = |place: u8, value: u64| Condition::new(place, Width::Dword, Compare::Eq, value);
    let executable = flag(libc::PROT_EXEC)?;
    let has_no_code = |place: u8| Condition::new(place, Width::Dword, Compare::MaskedEq(executable), 0);
    let anonymous = flag(libc::MAP_ANONYMOUS)?;
    // Memory that is shared, grows like a stack, or becomes read-only is not counted by the memory limit, so it
    // is refused.
    let kinds = flag(libc::MAP_ANONYMOUS | libc::MAP_SHARED | libc::MAP_GROWSDOWN)?;
    let is_counted = Condition::new(3, Width::Dword, Compare::MaskedEq(kinds), anonymous)?;
    let writable = flag(libc::PROT_WRITE)?;
    let kept_counted = Condition::new(2, Width::Dword, Compare::MaskedEq(executable | writable), writable)?;
    let guarded = [
        (libc::SYS_read, vec![Rule::new(vec![is(0, 0)?])?]),
        (libc::SYS_write, vec![Rule::new(vec![is(0, 1)?])?, Rule::new(vec![is(0, 2)?])?]),
        // Anonymous memory only, never executable.
        (libc::SYS_mmap, vec![Rule::new(vec![has_no_code(2)?, is_counted])?]),
        (libc::SYS_mprotect, vec![Rule::new(vec![kept_counted])?]),
        // Names a memory region, as the allocator does.
        (libc::SYS_prctl, vec![Rule::new(vec![is(0, flag(libc::PR_SET_VMA)?)?])?]),
        // A signal to itself, which is how it aborts.
        (libc::SYS_tgkill, vec![Rule::new(vec![is(0, own)?])?]),
    ];
    let free = [
        libc::SYS_brk,
        libc::SYS_clock_gettime,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_futex,
        libc::SYS_getcpu,
        libc::SYS_getpid,
        libc::SYS_getrandom,
        libc::SYS_gettid,
        libc::SYS_madvise,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_restart_syscall,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sched_yield,
        libc::SYS_sigaltstack,
    ];
    Ok(guarded.into_iter().chain(free.into_iter().map(|call| (call, Vec::new()))).collect())
}

fn flag(flag: i32) -> Result<u64, TryFromIntError> {
    u64::try_from(flag)
}

#[cfg(test)]
mod tests;
