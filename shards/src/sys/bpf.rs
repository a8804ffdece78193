//! Programs in classic BPF that the kernel runs for a socket, and the few instructions they are made of. Nothing here asks the kernel
//! anything; [`sys`](super) attaches them.

use std::io;

use super::invalid;

/// The most shards one steering program can serve: the kernel takes 4096 instructions (`BPF_MAXINSNS`), a shard costs
/// two, and three are spent once.
pub(crate) const STEERED_SHARDS_MAX: usize = 2046;

/// One classic BPF instruction, in the kernel's words: what to do, how far to jump if true or false, and a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    constant: u32,
}

const LOAD_WORD: u16 = 0x20;
const LOAD_BYTE: u16 = 0x30;
const AND: u16 = 0x54;
const JUMP_IF_EQUAL: u16 = 0x15;
const REMAINDER: u16 = 0x94;
const RETURN_CONSTANT: u16 = 0x06;
const RETURN_ACCUMULATOR: u16 = 0x16;

/// Where a classic BPF program finds the number of the CPU it runs on: `SKF_AD_OFF + SKF_AD_CPU`.
const CPU_NUMBER: u32 = 0xffff_f024;

impl Instruction {
    const fn new(code: u16, constant: u32) -> Self {
        Self {
            code,
            if_true: 0,
            if_false: 0,
            constant,
        }
    }

    pub(super) const fn to_kernel(self) -> libc::sock_filter {
        libc::sock_filter {
            code: self.code,
            jt: self.if_true,
            jf: self.if_false,
            k: self.constant,
        }
    }
}

/// Where a program on a TCP socket finds the flags of a segment (RFC 9293 §3.1), and those it looks at.
const TCP_FLAGS: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;

/// The program of [`refuse_new_connections`](super::refuse_new_connections): of what a listener is sent, a segment with SYN and without ACK begins a connection.
pub(super) const REFUSE_NEW: [Instruction; 5] = [
    Instruction::new(LOAD_BYTE, TCP_FLAGS),
    Instruction::new(AND, SYN | ACK),
    Instruction {
        if_false: 1,
        ..Instruction::new(JUMP_IF_EQUAL, SYN)
    },
    Instruction::new(RETURN_CONSTANT, DROP),
    Instruction::new(RETURN_CONSTANT, PASS),
];

/// How much of a segment a filter lets pass: nothing, or all of it.
const DROP: u32 = 0;
const PASS: u32 = u32::MAX;

/// Writes the program of [`reuseport_steer`](super::reuseport_steer): load the CPU; for each shard, return its number if the CPU is its own;
/// else return the CPU modulo the number of shards.
pub(super) fn steering_program(cpus: &[usize]) -> io::Result<Vec<Instruction>> {
    if cpus.is_empty() || cpus.len() > STEERED_SHARDS_MAX {
        return Err(invalid("steering by CPU needs between 1 and 2046 shards"));
    }
    let shards = u32::try_from(cpus.len()).map_err(|_| invalid("steering by CPU needs at most 2046 shards"))?;
    let mut program = vec![Instruction::new(LOAD_WORD, CPU_NUMBER)];
    for (shard, (position, cpu)) in (0..shards).zip(cpus.iter().enumerate()) {
        if cpus.iter().take(position).any(|earlier| earlier == cpu) {
            return Err(invalid("steering by CPU needs every shard on a CPU of its own"));
        }
        let cpu = u32::try_from(*cpu).map_err(|_| invalid("a CPU number does not fit into 32 bits"))?;
        program.push(Instruction {
            if_false: 1,
            ..Instruction::new(JUMP_IF_EQUAL, cpu)
        });
        program.push(Instruction::new(RETURN_CONSTANT, shard));
    }
    program.push(Instruction::new(REMAINDER, shards));
    program.push(Instruction::new(RETURN_ACCUMULATOR, 0));
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel would on the given CPU, or on a segment with the given flags.
    fn run(program: &[Instruction], input: u32) -> u32 {
        let mut accumulator = 0;
        let mut position = 0;
        loop {
            let instruction = program[position];
            position += 1;
            match instruction.code {
                LOAD_WORD => {
                    assert_eq!(instruction.constant, CPU_NUMBER);
                    accumulator = input;
                }
                LOAD_BYTE => {
                    assert_eq!(instruction.constant, TCP_FLAGS);
                    accumulator = input;
                }
                AND => accumulator &= instruction.constant,
                JUMP_IF_EQUAL => {
                    let equal = accumulator == instruction.constant;
                    position += usize::from(if equal {
                        instruction.if_true
                    } else {
                        instruction.if_false
                    });
                }
                REMAINDER => accumulator %= instruction.constant,
                RETURN_CONSTANT => return instruction.constant,
                RETURN_ACCUMULATOR => return accumulator,
                other => panic!("no such instruction: {other:#x}"),
            }
        }
    }

    #[test]
    fn the_instruction_codes_are_the_kernels() {
        let code = |parts: &[u32]| u16::try_from(parts.iter().sum::<u32>()).unwrap();
        assert_eq!(LOAD_WORD, code(&[libc::BPF_LD, libc::BPF_W, libc::BPF_ABS]));
        assert_eq!(LOAD_BYTE, code(&[libc::BPF_LD, libc::BPF_B, libc::BPF_ABS]));
        assert_eq!(AND, code(&[libc::BPF_ALU, libc::BPF_AND, libc::BPF_K]));
        assert_eq!(JUMP_IF_EQUAL, code(&[libc::BPF_JMP, libc::BPF_JEQ, libc::BPF_K]));
        assert_eq!(REMAINDER, code(&[libc::BPF_ALU, libc::BPF_MOD, libc::BPF_K]));
        assert_eq!(RETURN_CONSTANT, code(&[libc::BPF_RET, libc::BPF_K]));
        assert_eq!(RETURN_ACCUMULATOR, code(&[libc::BPF_RET, libc::BPF_A]));
        assert_eq!(CPU_NUMBER, (libc::SKF_AD_OFF + libc::SKF_AD_CPU).cast_unsigned());
        assert_eq!(
            1 + 2 * STEERED_SHARDS_MAX + 2 + 1,
            usize::try_from(libc::BPF_MAXINSNS).unwrap()
        );
    }

    #[test]
    fn every_pinned_cpu_maps_to_its_shard_and_every_other_one_to_some_shard() {
        let program = steering_program(&[2, 3, 7]).unwrap();
        assert_eq!([2, 3, 7].map(|cpu| run(&program, cpu)), [0, 1, 2]);
        assert_eq!([0, 1, 4, 5, 6, 8].map(|cpu| run(&program, cpu)), [0, 1, 1, 2, 0, 2]);
        let largest: Vec<usize> = (0..STEERED_SHARDS_MAX).rev().collect();
        assert_eq!(run(&steering_program(&largest).unwrap(), 0), 2045);
    }

    #[test]
    fn a_placement_that_cannot_be_steered_is_refused() {
        let too_many: Vec<usize> = (0..=STEERED_SHARDS_MAX).collect();
        for cpus in [&[][..], &[1, 1], &[usize::MAX], &too_many] {
            assert_eq!(steering_program(cpus).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn only_a_segment_that_begins_a_connection_is_refused() {
        const FIN: u32 = 0x01;
        const RST: u32 = 0x04;
        const PSH: u32 = 0x08;
        const ECE_CWR: u32 = 0xc0;
        assert_eq!([SYN, SYN | ECE_CWR].map(|flags| run(&REFUSE_NEW, flags)), [DROP; 2]);
        let others = [ACK, ACK | PSH, ACK | FIN, SYN | ACK, RST, RST | ACK];
        assert_eq!(others.map(|flags| run(&REFUSE_NEW, flags)), [PASS; 6]);
    }
}
