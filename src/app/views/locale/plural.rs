//! Plural forms of gettext: the expression of a catalogue's header that selects a form by a number.
//!
//! `Plural-Forms: nplurals=2; plural=n != 1;` has an expression in C's syntax over `n`. It is compiled once into
//! instructions for a stack, so that a selection costs a bounded number of steps. A division by zero gives 0, where C
//! would end the program. Source: the manual of GNU gettext, "Additional functions for plural forms".

use core::fmt;

/// Most forms of a language: 16. Arabic has 6, the most of all languages in the manual of gettext.
const FORMS_MAX: u64 = 16;

/// Longest expression: 1000 bytes. The longest in the manual of gettext, that of Arabic, has about 100.
const EXPRESSION_BYTES_MAX: usize = 1000;

/// Deepest nesting of parentheses, `?:` and `!` in an expression: 50.
const DEPTH_MAX: usize = 50;

/// The rule that selects a plural form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PluralRule {
    forms: u64,
    steps: Vec<Step>,
}

/// An instruction over a stack of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Number(u64),
    Count,
    Not,
    Binary(Operator),
    /// Replaces a condition and two values by the first value if the condition is not 0, else by the second.
    Choose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// The operators of each level of precedence, the weakest first. A longer sign stands before its prefix.
const LEVELS: [&[(&str, Operator)]; 6] = [
    &[("||", Operator::Or)],
    &[("&&", Operator::And)],
    &[("==", Operator::Equal), ("!=", Operator::Unequal)],
    &[
        ("<=", Operator::LessOrEqual),
        ("<", Operator::Less),
        (">=", Operator::GreaterOrEqual),
        (">", Operator::Greater),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[
        ("*", Operator::Multiply),
        ("/", Operator::Divide),
        ("%", Operator::Remainder),
    ],
];

/// Why a `Plural-Forms` could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PluralError {
    /// It is not `nplurals=…; plural=…`.
    Header,
    /// The number of forms is 0 or more than 16.
    Forms,
    /// The expression is not one of C over `n`, or is too long or too deeply nested.
    Expression,
}

impl fmt::Display for PluralError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Header => "Plural-Forms is not `nplurals=NUMBER; plural=EXPRESSION;`",
            Self::Forms => "nplurals is not a number from 1 to 16",
            Self::Expression => "the expression of `plural` is malformed, longer than 1000 bytes, or nested too deeply",
        })
    }
}

impl Default for PluralRule {
    /// The rule of English and German: `nplurals=2; plural=n != 1`.
    fn default() -> Self {
        Self {
            forms: 2,
            steps: vec![Step::Count, Step::Number(1), Step::Binary(Operator::Unequal)],
        }
    }
}

impl PluralRule {
    /// Reads the value of `Plural-Forms`.
    pub(super) fn parse(text: &str) -> Result<Self, PluralError> {
        let mut forms = None;
        let mut expression = None;
        for part in text.split(';') {
            let Some((name, value)) = part.split_once('=') else {
                continue;
            };
            match name.trim() {
                "nplurals" => forms = Some(value.trim()),
                "plural" => expression = Some(value),
                _ => {}
            }
        }
        let (forms, expression) = forms.zip(expression).ok_or(PluralError::Header)?;
        let forms = forms.parse().ok().filter(|forms| (1..=FORMS_MAX).contains(forms));
        let forms = forms.ok_or(PluralError::Forms)?;
        let steps = Parser::compile(expression).ok_or(PluralError::Expression)?;
        Ok(Self { forms, steps })
    }

    /// The form for a number, as an index below the number of forms.
    pub(super) fn form(&self, count: u64) -> usize {
        let mut stack = Vec::with_capacity(8);
        for step in &self.steps {
            let mut pop = || stack.pop().unwrap_or_default();
            let value = match step {
                Step::Number(number) => *number,
                Step::Count => count,
                Step::Not => u64::from(pop() == 0),
                Step::Binary(operator) => {
                    let right = pop();
                    operator.apply(pop(), right)
                }
                Step::Choose => {
                    let (otherwise, then) = (pop(), pop());
                    if pop() == 0 { otherwise } else { then }
                }
            };
            stack.push(value);
        }
        let form = stack.pop().filter(|form| *form < self.forms).unwrap_or_default();
        usize::try_from(form).unwrap_or_default()
    }
}

impl Operator {
    /// The value, with the unsigned arithmetic of C.
    fn apply(self, left: u64, right: u64) -> u64 {
        match self {
            Self::Or => u64::from(left != 0 || right != 0),
            Self::And => u64::from(left != 0 && right != 0),
            Self::Equal => u64::from(left == right),
            Self::Unequal => u64::from(left != right),
            Self::Less => u64::from(left < right),
            Self::LessOrEqual => u64::from(left <= right),
            Self::Greater => u64::from(left > right),
            Self::GreaterOrEqual => u64::from(left >= right),
            Self::Add => left.wrapping_add(right),
            Self::Subtract => left.wrapping_sub(right),
            Self::Multiply => left.wrapping_mul(right),
            Self::Divide => left.checked_div(right).unwrap_or_default(),
            Self::Remainder => left.checked_rem(right).unwrap_or_default(),
        }
    }
}

/// Compiles an expression by recursive descent; `None` stands for any mistake.
struct Parser<'e> {
    rest: &'e str,
    steps: Vec<Step>,
    depth: usize,
}

impl<'e> Parser<'e> {
    fn compile(expression: &'e str) -> Option<Vec<Step>> {
        if expression.len() > EXPRESSION_BYTES_MAX {
            return None;
        }
        let mut parser = Self {
            rest: expression,
            steps: Vec::new(),
            depth: 0,
        };
        parser.conditional()?;
        parser.rest.trim_start().is_empty().then_some(parser.steps)
    }

    /// `condition ? then : otherwise`, which groups to the right, or a binary expression.
    fn conditional(&mut self) -> Option<()> {
        self.enter()?;
        self.binary(&LEVELS)?;
        if self.takes("?") {
            self.conditional()?;
            if !self.takes(":") {
                return None;
            }
            self.conditional()?;
            self.steps.push(Step::Choose);
        }
        self.depth -= 1;
        Some(())
    }

    /// Operators of one level, which group to the left, between expressions of the levels above.
    fn binary(&mut self, levels: &[&[(&str, Operator)]]) -> Option<()> {
        let Some((weakest, stronger)) = levels.split_first() else {
            return self.unary();
        };
        self.binary(stronger)?;
        while let Some((_, operator)) = weakest.iter().find(|(sign, _)| self.takes(sign)) {
            self.binary(stronger)?;
            self.steps.push(Step::Binary(*operator));
        }
        Some(())
    }

    fn unary(&mut self) -> Option<()> {
        if self.takes("!") {
            self.enter()?;
            self.unary()?;
            self.depth -= 1;
            self.steps.push(Step::Not);
        } else if self.takes("(") {
            self.conditional()?;
            return self.takes(")").then_some(());
        } else if self.takes("n") {
            self.steps.push(Step::Count);
        } else {
            let end = self.rest.find(|next: char| !next.is_ascii_digit());
            let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
            self.steps.push(Step::Number(digits.parse().ok()?));
            self.rest = rest;
        }
        Some(())
    }

    /// Takes a sign, and the blanks before it, if it comes next.
    fn takes(&mut self, sign: &str) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn enter(&mut self) -> Option<()> {
        self.depth += 1;
        (self.depth <= DEPTH_MAX).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PluralError, PluralRule};

    fn forms(text: &str, counts: impl IntoIterator<Item = u64>) -> Vec<usize> {
        let rule = PluralRule::parse(text).unwrap();
        counts.into_iter().map(|count| rule.form(count)).collect()
    }

    /// The rules of the manual of gettext.
    #[test]
    fn the_rules_of_languages_select_their_forms() {
        assert_eq!(forms("nplurals=1; plural=0;", [0, 1, 2, 100]), [0, 0, 0, 0]);
        assert_eq!(forms("nplurals=2; plural=n != 1;", [0, 1, 2, 11]), [1, 0, 1, 1]);
        assert_eq!(forms("nplurals=2; plural=n>1;", [0, 1, 2]), [0, 0, 1]);
        let polish = "nplurals=3; plural=n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2;";
        assert_eq!(
            forms(polish, [0, 1, 2, 5, 12, 22, 25, 112, 102]),
            [2, 0, 1, 2, 2, 1, 2, 2, 1]
        );
        let arabic =
            "nplurals=6; plural=n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : n%100>=11 ? 4 : 5";
        assert_eq!(
            forms(arabic, [0, 1, 2, 3, 10, 11, 99, 100, 103]),
            [0, 1, 2, 3, 3, 4, 4, 5, 3]
        );
        let slovenian = "nplurals=4; plural=n%100==1 ? 0 : n%100==2 ? 1 : n%100==3 || n%100==4 ? 2 : 3;";
        assert_eq!(forms(slovenian, [1, 2, 3, 4, 5, 101, 104]), [0, 1, 2, 2, 3, 0, 2]);
    }

    #[test]
    fn operators_have_the_precedence_and_the_values_of_c() {
        for (expression, count, value) in [
            ("1+2*3", 0, 7),
            ("(1+2)*3", 0, 9),
            ("9-3-2", 0, 4),
            ("0||1&&0", 0, 0),
            ("!n", 0, 1),
            ("!!n+1", 5, 2),
            ("n<2==1", 1, 1),
            ("1?2?3:4:5", 0, 3),
            ("0?1:0?2:3", 0, 3),
            ("n/0", 5, 0),
            ("n%0", 5, 0),
            ("0-1>1", 0, 1),
            (" n \t+\n1 ", 2, 3),
        ] {
            let rule = PluralRule::parse(&format!("nplurals=16;plural={expression}")).unwrap();
            assert_eq!(rule.form(count), value, "{expression}");
        }
    }

    #[test]
    fn malformed_rules_are_refused() {
        let refused = |text: &str| PluralRule::parse(text).unwrap_err();
        for header in ["", "nplurals=2", "plural=0", "2; n != 1"] {
            assert_eq!(refused(header), PluralError::Header, "{header}");
        }
        for forms in ["0", "17", "-1", "two", "99999999999999999999"] {
            assert_eq!(
                refused(&format!("nplurals={forms}; plural=0")),
                PluralError::Forms,
                "{forms}"
            );
        }
        let deep = format!("{}n{}", "(".repeat(60), ")".repeat(60));
        let (negated, long) = (format!("{}n", "!".repeat(60)), format!("n{}", "+n".repeat(600)));
        for expression in [
            "",
            "m",
            "n n",
            "1?2",
            "1?2:",
            "(n",
            "n)",
            "n=1",
            "n==",
            "&n",
            "99999999999999999999",
            "ä",
            &deep,
            &negated,
            &long,
        ] {
            let text = format!("nplurals=2; plural={expression}");
            assert_eq!(refused(&text), PluralError::Expression, "{expression}");
        }
    }

    #[test]
    fn a_form_beyond_the_number_of_forms_is_the_first() {
        assert_eq!(forms("nplurals=2; plural=n", [0, 1, 2, u64::MAX]), [0, 1, 0, 0]);
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_selects_a_form(text in "[n0-9!?:()<>=&|+*/% -]{0,60}", count in any::<u64>()) {
            if let Ok(rule) = PluralRule::parse(&format!("nplurals=3; plural={text}")) {
                prop_assert!(rule.form(count) < 3);
            }
        }
    }
}
