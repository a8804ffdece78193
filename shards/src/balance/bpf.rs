//! Classic BPF programs that the kernel runs for a socket. Each attaches to a listening socket.

use std::io;
use std::os::fd::BorrowedFd;

use crate::os::sys::{ProgramKind, attach, invalid};

/// The most sockets one reuseport program can serve. 2046: the kernel takes 4096 instructions (`BPF_MAXINSNS`), a
/// socket costs two, and four are fixed.
pub(crate) const SPREAD_SOCKETS_MAX: usize = 2046;

/// Makes the kernel pick a random socket of a `SO_REUSEPORT` group for each new connection, or with `cpus` the socket
/// of the receiving CPU. Sockets marked in `left_out` get no new connections.
///
/// The program uses the sockets' numbers: the kernel counts the sockets of a group in the order they began to listen. A
/// connection received on a CPU without a socket in use goes to a random one; an unknown number falls back to the
/// kernel's hash. One call on any socket of the group suffices and replaces the previous program.
///
/// When a socket leaves the group, the kernel gives its number to the last one. Connections then arrive at other
/// shards, so [detach](crate::os::sys::detach_reuseport_program) first.
///
/// # Errors
///
/// `InvalidInput` if no socket is left or there are more than 2046, or if `cpus` does not name one distinct CPU per
/// socket. Otherwise the kernel refused: `EINVAL` for a socket without `SO_REUSEPORT`.
pub(crate) fn attach_reuseport_program(
    listener: BorrowedFd<'_>,
    left_out: &[bool],
    cpus: Option<&[usize]>,
) -> io::Result<()> {
    let program = reuseport_program(left_out, cpus)?;
    attach(listener, ProgramKind::ReuseportSelect, to_kernel(&program))
}

/// Makes the kernel drop every segment that asks a TCP listener for a new connection, until the listener closes.
/// Handshakes in progress continue, and the backlog keeps its connections.
///
/// A client whose first segment is dropped sends it again a second later, to the process that listens then. Sockets
/// accepted from now on inherit the program, which passes all segments of an existing connection.
///
/// # Errors
///
/// The kernel refused, as in a sandbox without socket filters.
pub(crate) fn refuse_new_connections(listener: BorrowedFd<'_>) -> io::Result<()> {
    attach(listener, ProgramKind::Filter, to_kernel(&REFUSE_NEW))
}

fn to_kernel(program: &[Instruction]) -> Vec<libc::sock_filter> {
    program.iter().map(|instruction| instruction.to_kernel()).collect()
}

/// One classic BPF instruction: an operation, the jump distances if true and if false, and a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    constant: u32,
}

const LOAD_WORD: u16 = 0x20;
const LOAD_BYTE: u16 = 0x30;
const AND: u16 = 0x54;
const ADD: u16 = 0x04;
const REMAINDER: u16 = 0x94;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const RETURN_CONSTANT: u16 = 0x06;
const RETURN_ACCUMULATOR: u16 = 0x16;

/// Where a program reads the number of the CPU it runs on: `SKF_AD_OFF + SKF_AD_CPU`.
const CPU_NUMBER: u32 = 0xffff_f024;
/// Where a program reads a new random number: `SKF_AD_OFF + SKF_AD_RANDOM`.
const RANDOM_NUMBER: u32 = 0xffff_f038;

impl Instruction {
    const fn new(code: u16, constant: u32) -> Self {
        Self {
            code,
            if_true: 0,
            if_false: 0,
            constant,
        }
    }

    /// Skips the next instruction unless `condition` holds between the accumulator and the constant.
    const fn next_only_if(condition: u16, constant: u32) -> Self {
        Self {
            if_false: 1,
            ..Self::new(condition, constant)
        }
    }

    const fn to_kernel(self) -> libc::sock_filter {
        libc::sock_filter {
            code: self.code,
            jt: self.if_true,
            jf: self.if_false,
            k: self.constant,
        }
    }
}

/// Where a program on a TCP socket reads the flags of a segment (RFC 9293 §3.1), and the flags it uses.
const TCP_FLAGS: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;

/// The program of [`refuse_new_connections`]: a segment with SYN and without ACK begins a connection.
const REFUSE_NEW: [Instruction; 5] = [
    Instruction::new(LOAD_BYTE, TCP_FLAGS),
    Instruction::new(AND, SYN | ACK),
    Instruction::next_only_if(JUMP_IF_EQUAL, SYN),
    Instruction::new(RETURN_CONSTANT, DROP),
    Instruction::new(RETURN_CONSTANT, PASS),
];

/// How much of a segment a filter passes: nothing, or all of it.
const DROP: u32 = 0;
const PASS: u32 = u32::MAX;

/// Builds the program of [`attach_reuseport_program`].
///
/// With CPUs: load the CPU, and return the number of the socket in use whose CPU it is. Otherwise draw one of the
/// sockets in use. Their numbers have gaps where sockets are left out, so the drawn number steps over each gap it has
/// reached, the lowest first.
fn reuseport_program(left_out: &[bool], cpus: Option<&[usize]>) -> io::Result<Vec<Instruction>> {
    if left_out.len() > SPREAD_SOCKETS_MAX {
        return Err(invalid("a reuseport program serves at most 2046 sockets"));
    }
    let in_use = left_out.iter().filter(|is_out| !**is_out).count();
    let in_use = u32::try_from(in_use).map_err(|_| invalid("a reuseport program serves at most 2046 sockets"))?;
    if in_use == 0 {
        return Err(invalid("a reuseport program needs at least one socket in use"));
    }
    let mut program = Vec::new();
    if let Some(cpus) = cpus {
        check_cpus(cpus, left_out.len())?;
        program.push(Instruction::new(LOAD_WORD, CPU_NUMBER));
        for ((number, _), cpu) in (0..).zip(left_out).zip(cpus).filter(|((_, is_out), _)| !**is_out) {
            let cpu = u32::try_from(*cpu).map_err(|_| invalid("a CPU number does not fit into 32 bits"))?;
            program.push(Instruction::next_only_if(JUMP_IF_EQUAL, cpu));
            program.push(Instruction::new(RETURN_CONSTANT, number));
        }
    }
    program.push(Instruction::new(LOAD_WORD, RANDOM_NUMBER));
    program.push(Instruction::new(REMAINDER, in_use));
    for (gap, _) in (0..).zip(left_out).filter(|(_, is_out)| **is_out) {
        program.push(Instruction::next_only_if(JUMP_IF_AT_LEAST, gap));
        program.push(Instruction::new(ADD, 1));
    }
    program.push(Instruction::new(RETURN_ACCUMULATOR, 0));
    Ok(program)
}

fn check_cpus(cpus: &[usize], sockets: usize) -> io::Result<()> {
    if cpus.len() != sockets {
        return Err(invalid("steering by CPU needs one CPU per socket"));
    }
    for (position, cpu) in cpus.iter().enumerate() {
        if cpus.iter().take(position).any(|earlier| earlier == cpu) {
            return Err(invalid("steering by CPU needs a different CPU for every shard"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a program reads when it runs.
    #[derive(Clone, Copy, Default)]
    struct Input {
        cpu: u32,
        random: u32,
        tcp_flags: u32,
    }

    /// Runs a program as the kernel would.
    fn run(program: &[Instruction], input: Input) -> u32 {
        let mut accumulator = 0;
        let mut position = 0;
        loop {
            let Instruction {
                code,
                if_true,
                if_false,
                constant,
            } = program[position];
            position += 1;
            let mut jump = |holds| position += usize::from(if holds { if_true } else { if_false });
            match code {
                LOAD_WORD if constant == CPU_NUMBER => accumulator = input.cpu,
                LOAD_WORD if constant == RANDOM_NUMBER => accumulator = input.random,
                LOAD_BYTE if constant == TCP_FLAGS => accumulator = input.tcp_flags,
                AND => accumulator &= constant,
                ADD => accumulator += constant,
                REMAINDER => accumulator %= constant,
                JUMP_IF_EQUAL => jump(accumulator == constant),
                JUMP_IF_AT_LEAST => jump(accumulator >= constant),
                RETURN_CONSTANT => return constant,
                RETURN_ACCUMULATOR => return accumulator,
                other => panic!("unknown instruction: {other:#x} {constant:#x}"),
            }
        }
    }

    fn drawn(program: &[Instruction], random: u32) -> u32 {
        run(
            program,
            Input {
                random,
                ..Input::default()
            },
        )
    }

    fn steered(program: &[Instruction], cpu: u32, random: u32) -> u32 {
        run(
            program,
            Input {
                cpu,
                random,
                ..Input::default()
            },
        )
    }

    #[test]
    fn the_instruction_codes_are_the_kernels() {
        let code = |parts: &[u32]| u16::try_from(parts.iter().sum::<u32>()).unwrap();
        assert_eq!(LOAD_WORD, code(&[libc::BPF_LD, libc::BPF_W, libc::BPF_ABS]));
        assert_eq!(LOAD_BYTE, code(&[libc::BPF_LD, libc::BPF_B, libc::BPF_ABS]));
        assert_eq!(AND, code(&[libc::BPF_ALU, libc::BPF_AND, libc::BPF_K]));
        assert_eq!(ADD, code(&[libc::BPF_ALU, libc::BPF_ADD, libc::BPF_K]));
        assert_eq!(REMAINDER, code(&[libc::BPF_ALU, libc::BPF_MOD, libc::BPF_K]));
        assert_eq!(JUMP_IF_EQUAL, code(&[libc::BPF_JMP, libc::BPF_JEQ, libc::BPF_K]));
        assert_eq!(JUMP_IF_AT_LEAST, code(&[libc::BPF_JMP, libc::BPF_JGE, libc::BPF_K]));
        assert_eq!(RETURN_CONSTANT, code(&[libc::BPF_RET, libc::BPF_K]));
        assert_eq!(RETURN_ACCUMULATOR, code(&[libc::BPF_RET, libc::BPF_A]));
        assert_eq!(CPU_NUMBER, (libc::SKF_AD_OFF + libc::SKF_AD_CPU).cast_unsigned());
        assert_eq!(RANDOM_NUMBER, (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM).cast_unsigned());
    }

    #[test]
    fn every_pinned_cpu_maps_to_its_socket_and_every_other_one_to_any() {
        let program = reuseport_program(&[false; 3], Some(&[2, 3, 7])).unwrap();
        for random in [0, 1, 2, 3, u32::MAX] {
            assert_eq!([2, 3, 7].map(|cpu| steered(&program, cpu, random)), [0, 1, 2]);
            assert_eq!(steered(&program, 5, random), random % 3);
        }
    }

    #[test]
    fn a_socket_left_out_gets_nothing_and_all_others_their_share() {
        for sockets in 2..=6 {
            // Every choice of sockets except all and none.
            for choice in 1..(1 << sockets) - 1 {
                let left_out: Vec<bool> = (0..sockets).map(|number| choice & (1 << number) != 0).collect();
                let in_use: Vec<u32> = (0..)
                    .zip(&left_out)
                    .filter(|(_, is_out)| !**is_out)
                    .map(|(number, _)| number)
                    .collect();
                let program = reuseport_program(&left_out, None).unwrap();
                let one_each: Vec<u32> = (0..).take(in_use.len()).map(|random| drawn(&program, random)).collect();
                assert_eq!(one_each, in_use);
            }
        }
    }

    #[test]
    fn connections_of_a_left_out_cpu_are_drawn_among_the_others() {
        let program = reuseport_program(&[false, true, false, false], Some(&[4, 5, 6, 7])).unwrap();
        assert_eq!([4, 6, 7].map(|cpu| steered(&program, cpu, 9)), [0, 2, 3]);
        assert_eq!([0, 1, 2].map(|random| steered(&program, 5, random)), [0, 2, 3]);
    }

    #[test]
    fn the_longest_program_is_one_the_kernel_takes() {
        let cpus: Vec<usize> = (0..SPREAD_SOCKETS_MAX).rev().collect();
        let mut left_out = vec![false; SPREAD_SOCKETS_MAX];
        for changed in [0, 1, SPREAD_SOCKETS_MAX - 1] {
            left_out[changed] = true;
            let program = reuseport_program(&left_out, Some(&cpus)).unwrap();
            assert_eq!(program.len(), usize::try_from(libc::BPF_MAXINSNS).unwrap());
            assert_eq!(steered(&program, 1, 0), 2044);
        }
    }

    #[test]
    fn invalid_sockets_and_cpus_are_refused() {
        let kind = |left_out: &[bool], cpus| reuseport_program(left_out, cpus).unwrap_err().kind();
        for left_out in [&[][..], &[true], &[true; 3], &[false; SPREAD_SOCKETS_MAX + 1]] {
            assert_eq!(kind(left_out, None), io::ErrorKind::InvalidInput);
        }
        for cpus in [&[][..], &[1], &[1, 1], &[0, usize::MAX], &[0, 1, 2]] {
            assert_eq!(kind(&[false; 2], Some(cpus)), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn only_a_segment_that_begins_a_connection_is_refused() {
        const FIN: u32 = 0x01;
        const RST: u32 = 0x04;
        const PSH: u32 = 0x08;
        const ECE_CWR: u32 = 0xc0;
        let verdict = |tcp_flags| {
            run(
                &REFUSE_NEW,
                Input {
                    tcp_flags,
                    ..Input::default()
                },
            )
        };
        assert_eq!([SYN, SYN | ECE_CWR].map(verdict), [DROP; 2]);
        assert_eq!(
            [ACK, ACK | PSH, ACK | FIN, SYN | ACK, RST, RST | ACK].map(verdict),
            [PASS; 6]
        );
    }
}
