//! Finds the places in a template where lists, maps and namespaces could exhaust the machine.
//!
//! Every instruction and every byte of text costs fuel. But it costs none to go through a value in
//! order to compare or print it. A value may hold the same list a million times, or hold itself.
//! Going through it would take for ever, or more stack than there is. So this module finds every
//! place where a template makes a list or a map of other values, and [`limits`](super::limits) puts
//! a check around it that runs with the template.
//!
//! A namespace could hold itself without any such place: `{% set space.inside = space %}`. So a
//! template may only use the attributes of a namespace, never the namespace as a value; otherwise
//! it is refused before it runs.

use std::collections::HashSet;

use minijinja::machinery::ast::{BinOp, BinOpKind, Call, CallArg, Expr, Macro, Set, Stmt};

/// Filters and methods whose result is never a list or map.
const PLAIN_RESULTS: [&str; 27] = [
    "abs",
    "capitalize",
    "count",
    "endswith",
    "escape",
    "e",
    "find",
    "float",
    "indent",
    "int",
    "join",
    "length",
    "lower",
    "lstrip",
    "replace",
    "rfind",
    "round",
    "rstrip",
    "safe",
    "startswith",
    "string",
    "strip",
    "title",
    "tojson",
    "trim",
    "upper",
    "bool",
];
/// Functions whose result is never a list or map.
const PLAIN_FUNCTIONS: [&str; 2] = ["raise_exception", "strftime_now"];
/// Attributes of `loop` whose values are numbers or booleans.
const LOOP_NUMBERS: [&str; 7] =
    ["first", "index", "index0", "last", "length", "revindex", "revindex0"];
const NAMESPACE: &str = "namespace";

/// How a template makes a list or a map of other values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Making {
    /// Writes it out: `[message]`, `{'role': role}`.
    Literal,
    /// Adds or repeats lists: `messages + others`.
    Sum,
}

impl Making {
    /// The name of the function that checks the new value. A template must not use it itself.
    pub(super) fn check_name(self) -> &'static str {
        match self {
            Making::Literal => "banter_checked_literal",
            Making::Sum => "banter_checked_sum",
        }
    }
}

/// A place where a template makes a list or a map: a range of bytes in its source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) making: Making,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The places of a parsed template where it makes lists or maps and no check is around them yet.
///
/// Errors: the template uses a namespace as a value; the text names it.
pub(super) fn unchecked_places(template: &Stmt<'_>) -> Result<Vec<Place>, String> {
    let mut rules =
        Rules { by_attribute_only: HashSet::from(["loop", "self", NAMESPACE]), places: Vec::new() };
    rules.collect_namespaces(std::slice::from_ref(template));
    rules.statement(template)?;
    Ok(rules.places)
}

struct Rules<'a> {
    /// Names that must not be used as values, only by their attributes: `loop`, `self`, `namespace`
    /// and the namespaces of the template.
    by_attribute_only: HashSet<&'a str>,
    places: Vec<Place>,
}

impl<'a> Rules<'a> {
    fn collect_namespaces(&mut self, statements: &[Stmt<'a>]) {
        for statement in statements {
            if let Stmt::Set(set) = statement
                && let (Expr::Var(name), Some(_)) = (&set.target, namespace_call(&set.expr))
            {
                self.by_attribute_only.insert(name.id);
            }
            for body in bodies(statement) {
                self.collect_namespaces(body);
            }
        }
    }

    /// Checks a statement and adds the places in it.
    fn statement(&mut self, statement: &Stmt<'a>) -> Result<(), String> {
        match statement {
            Stmt::EmitExpr(emit) => self.value(&emit.expr)?,
            Stmt::ForLoop(each) => {
                self.target(&each.target)?;
                self.value(&each.iter)?;
                each.filter_expr.iter().try_for_each(|filter| self.value(filter))?;
            }
            Stmt::IfCond(condition) => self.value(&condition.expr)?,
            Stmt::WithBlock(with) => {
                for (target, value) in &with.assignments {
                    self.target(target)?;
                    self.value(value)?;
                }
            }
            Stmt::Set(set) => self.set(set)?,
            Stmt::SetBlock(set) => {
                self.target(&set.target)?;
                set.filter.iter().try_for_each(|filter| self.value(filter))?;
            }
            Stmt::AutoEscape(escape) => self.value(&escape.enabled)?,
            Stmt::FilterBlock(block) => self.value(&block.filter)?,
            Stmt::Macro(declared) => self.declaration(declared)?,
            Stmt::CallBlock(block) => {
                self.call(&block.call)?;
                self.declaration(&block.macro_decl)?;
            }
            Stmt::Do(statement) => self.call(&statement.call)?,
            Stmt::Template(_) | Stmt::EmitRaw(_) | Stmt::Continue(_) | Stmt::Break(_) => {}
        }
        for body in bodies(statement) {
            body.iter().try_for_each(|statement| self.statement(statement))?;
        }
        Ok(())
    }

    /// Checks `{% set … %}`, the only place where a namespace may be made.
    fn set(&mut self, set: &Set<'a>) -> Result<(), String> {
        if let (Expr::Var(_), Some(call)) = (&set.target, namespace_call(&set.expr)) {
            return self.arguments(&call.args);
        }
        self.target(&set.target)?;
        self.value(&set.expr)
    }

    fn declaration(&mut self, declared: &Macro<'a>) -> Result<(), String> {
        declared.args.iter().try_for_each(|target| self.target(target))?;
        declared.defaults.iter().try_for_each(|value| self.value(value))
    }

    /// Checks the target of an assignment. The name of a namespace must not get another value.
    fn target(&mut self, target: &Expr<'a>) -> Result<(), String> {
        match target {
            Expr::Tuple(targets) => targets.items.iter().try_for_each(|item| self.target(item)),
            Expr::List(targets) => targets.items.iter().try_for_each(|item| self.target(item)),
            Expr::GetAttr(attribute) => self.base(&attribute.expr),
            other => self.value(other),
        }
    }

    /// Checks the expression before a dot or a bracket.
    fn base(&mut self, expression: &Expr<'a>) -> Result<(), String> {
        match expression {
            Expr::Var(_) => Ok(()),
            other => self.value(other),
        }
    }

    /// Checks an expression that is used as a value, and adds the places in it.
    fn value(&mut self, expression: &Expr<'a>) -> Result<(), String> {
        match expression {
            Expr::Const(_) => Ok(()),
            Expr::Var(name) if self.by_attribute_only.contains(name.id) => {
                Err(format!("{}: expected one of its attributes, found the name alone", name.id))
            }
            Expr::Var(_) => Ok(()),
            Expr::Slice(slice) => {
                let bounds = [&slice.start, &slice.stop, &slice.step];
                bounds.into_iter().flatten().try_for_each(|bound| self.value(bound))?;
                self.value(&slice.expr)
            }
            Expr::UnaryOp(operator) => self.value(&operator.expr),
            Expr::BinOp(operator) if may_be_sum(operator) => {
                self.push(Making::Sum, expression);
                self.operands(operator)
            }
            Expr::BinOp(operator) => {
                self.value(&operator.left)?;
                self.value(&operator.right)
            }
            Expr::Compare(compare) => {
                compare.ops.iter().try_for_each(|operator| self.value(&operator.expr))?;
                self.value(&compare.expr)
            }
            Expr::IfExpr(choice) => {
                self.value(&choice.test_expr)?;
                choice.false_expr.iter().try_for_each(|value| self.value(value))?;
                self.value(&choice.true_expr)
            }
            Expr::Filter(filter) => {
                filter.expr.iter().try_for_each(|value| self.value(value))?;
                self.arguments(&filter.args)
            }
            Expr::Test(test) => {
                self.value(&test.expr)?;
                self.arguments(&test.args)
            }
            Expr::GetAttr(attribute) => self.base(&attribute.expr),
            Expr::GetItem(item) => {
                self.base(&item.expr)?;
                self.value(&item.subscript_expr)
            }
            Expr::Call(call) => self.call(call),
            Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => {
                if !is_of_plain_values(expression) {
                    self.push(Making::Literal, expression);
                }
                self.parts(expression)
            }
        }
    }

    /// Checks the parts of a literal. Literals inside it need no check of their own.
    fn parts(&mut self, literal: &Expr<'a>) -> Result<(), String> {
        parts_of(literal).into_iter().try_for_each(|part| match part {
            Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => self.parts(part),
            other => self.value(other),
        })
    }

    /// Checks the operands of a sum. Sums inside it need no check of their own.
    fn operands(&mut self, sum: &BinOp<'a>) -> Result<(), String> {
        [&sum.left, &sum.right].into_iter().try_for_each(|operand| match operand {
            Expr::BinOp(inner) if may_be_sum(inner) && matches!(inner.op, BinOpKind::Add) => {
                self.operands(inner)
            }
            other => self.value(other),
        })
    }

    fn push(&mut self, making: Making, expression: &Expr<'a>) {
        let (start, end) = (start_of(expression), expression.span().end_offset);
        self.places.push(Place { making, start: start as usize, end: end as usize });
    }

    fn call(&mut self, call: &Call<'a>) -> Result<(), String> {
        match checked_value(call) {
            Some(Expr::BinOp(sum)) => return self.operands(sum),
            Some(literal) => return self.parts(literal),
            None => {}
        }
        match &call.expr {
            Expr::Var(name) if name.id == NAMESPACE => {
                return Err(
                    "namespace: expected only in `set name = namespace()`, found elsewhere"
                        .to_owned(),
                );
            }
            // A recursive loop calls itself by the name `loop`.
            Expr::Var(_) => {}
            Expr::GetAttr(method) => self.base(&method.expr)?,
            other => self.value(other)?,
        }
        self.arguments(&call.args)
    }

    fn arguments(&mut self, arguments: &[CallArg<'a>]) -> Result<(), String> {
        arguments.iter().try_for_each(|argument| match argument {
            CallArg::Pos(value)
            | CallArg::Kwarg(_, value)
            | CallArg::PosSplat(value)
            | CallArg::KwargSplat(value) => self.value(value),
        })
    }
}

/// The call of `namespace`, if the expression is one.
fn namespace_call<'e, 'a>(expression: &'e Expr<'a>) -> Option<&'e Call<'a>> {
    match expression {
        Expr::Call(call) => match &call.expr {
            Expr::Var(name) if name.id == NAMESPACE => Some(call),
            _ => None,
        },
        _ => None,
    }
}

/// The statements inside a statement.
fn bodies<'s, 'a>(statement: &'s Stmt<'a>) -> Vec<&'s [Stmt<'a>]> {
    match statement {
        Stmt::Template(template) => vec![&template.children],
        Stmt::ForLoop(each) => vec![&each.body, &each.else_body],
        Stmt::IfCond(condition) => vec![&condition.true_body, &condition.false_body],
        Stmt::WithBlock(with) => vec![&with.body],
        Stmt::SetBlock(set) => vec![&set.body],
        Stmt::AutoEscape(escape) => vec![&escape.body],
        Stmt::FilterBlock(block) => vec![&block.body],
        Stmt::Macro(declared) => vec![&declared.body],
        Stmt::CallBlock(block) => vec![&block.macro_decl.body],
        _ => Vec::new(),
    }
}

/// The value inside a check, if the call is a check.
fn checked_value<'e, 'a>(call: &'e Call<'a>) -> Option<&'e Expr<'a>> {
    let (Expr::Var(name), [CallArg::Pos(value)]) = (&call.expr, call.args.as_slice()) else {
        return None;
    };
    let making = match value {
        Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => Making::Literal,
        Expr::BinOp(operator) if may_be_sum(operator) => Making::Sum,
        _ => return None,
    };
    (name.id == making.check_name()).then_some(value)
}

/// The parts of a literal list or map, keys included.
fn parts_of<'e, 'a>(literal: &'e Expr<'a>) -> Vec<&'e Expr<'a>> {
    match literal {
        Expr::List(list) => list.items.iter().collect(),
        Expr::Tuple(tuple) => tuple.items.iter().collect(),
        Expr::Map(map) => map.keys.iter().chain(&map.values).collect(),
        _ => Vec::new(),
    }
}

/// Where an expression begins in the source, in bytes. The spans of some expressions begin only
/// after their first part.
fn start_of(expression: &Expr<'_>) -> u32 {
    let first = match expression {
        Expr::Tuple(tuple) => tuple.items.first(),
        Expr::Slice(slice) => Some(&slice.expr),
        Expr::BinOp(operator) => Some(&operator.left),
        Expr::Compare(compare) => Some(&compare.expr),
        Expr::IfExpr(choice) => Some(&choice.true_expr),
        Expr::Filter(filter) => filter.expr.as_ref(),
        Expr::Test(test) => Some(&test.expr),
        Expr::GetAttr(attribute) => Some(&attribute.expr),
        Expr::GetItem(item) => Some(&item.expr),
        Expr::Call(call) => Some(&call.expr),
        _ => None,
    };
    let start = expression.span().start_offset;
    first.map_or(start, |first| start.min(start_of(first)))
}

/// Whether a literal holds only plain values, or literals of plain values.
fn is_of_plain_values(literal: &Expr<'_>) -> bool {
    parts_of(literal).into_iter().all(|part| match part {
        Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => is_of_plain_values(part),
        other => is_plain(other),
    })
}

/// Whether an operator may add or repeat lists. (A list plus a text is an error when it runs.)
fn may_be_sum(operator: &BinOp<'_>) -> bool {
    let (left, right) = (is_plain(&operator.left), is_plain(&operator.right));
    match operator.op {
        BinOpKind::Add => !left && !right,
        BinOpKind::Mul => !left || !right,
        _ => false,
    }
}

/// Whether a value can never be a list, a map or a namespace.
fn is_plain(expression: &Expr<'_>) -> bool {
    match expression {
        Expr::Const(_) | Expr::UnaryOp(_) | Expr::Compare(_) | Expr::Test(_) => true,
        Expr::BinOp(operator) => match operator.op {
            BinOpKind::Add | BinOpKind::Mul => !may_be_sum(operator),
            BinOpKind::ScAnd | BinOpKind::ScOr => {
                is_plain(&operator.left) && is_plain(&operator.right)
            }
            _ => true,
        },
        Expr::IfExpr(choice) => {
            is_plain(&choice.true_expr) && choice.false_expr.as_ref().is_none_or(is_plain)
        }
        Expr::Filter(filter) => PLAIN_RESULTS.contains(&filter.name),
        Expr::GetAttr(attribute) => {
            let is_loop = matches!(&attribute.expr, Expr::Var(name) if name.id == "loop");
            is_loop && LOOP_NUMBERS.contains(&attribute.name)
        }
        Expr::Call(call) => match &call.expr {
            Expr::Var(name) => PLAIN_FUNCTIONS.contains(&name.id),
            Expr::GetAttr(method) => PLAIN_RESULTS.contains(&method.name),
            _ => false,
        },
        Expr::Var(_)
        | Expr::Slice(_)
        | Expr::GetItem(_)
        | Expr::List(_)
        | Expr::Tuple(_)
        | Expr::Map(_) => false,
    }
}
