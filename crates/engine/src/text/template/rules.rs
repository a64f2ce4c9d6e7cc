//! What a template may do with lists, maps and namespaces.
//!
//! Fuel pays for every instruction and every byte, but not for walking a value that holds itself or
//! holds the same list a million times over: comparing or printing it would take for ever, or more
//! stack than there is. No chat template builds such values, so the ways to build them are refused
//! before anything runs: a list or map that a template writes holds only text, numbers and the like,
//! and a namespace is only ever used by its attributes. Values are then at most as deep as the
//! conversation itself.

use std::collections::HashSet;

use minijinja::machinery::ast::{BinOpKind, Call, CallArg, Expr, Macro, Set, Stmt};

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
/// What messages hold under these names is text.
const PLAIN_ATTRIBUTES: [&str; 2] = ["content", "role"];
/// Functions whose result is never a list or map.
const PLAIN_FUNCTIONS: [&str; 2] = ["raise_exception", "strftime_now"];
/// What a loop knows of itself in numbers.
const LOOP_NUMBERS: [&str; 7] =
    ["first", "index", "index0", "last", "length", "revindex", "revindex0"];
const NAMESPACE: &str = "namespace";

/// Checks a parsed template.
///
/// Errors: names the construct that is refused.
pub(super) fn check(template: &Stmt<'_>) -> Result<(), String> {
    let mut rules = Rules { by_attribute_only: HashSet::from(["loop", "self", NAMESPACE]) };
    rules.collect_namespaces(std::slice::from_ref(template));
    rules.statement(template)
}

struct Rules<'a> {
    /// Names of namespaces, of what makes them and of the loop: never values by themselves.
    by_attribute_only: HashSet<&'a str>,
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

    fn statement(&self, statement: &Stmt<'a>) -> Result<(), String> {
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

    /// A namespace is made only where it gets its name, with plain values.
    fn set(&self, set: &Set<'a>) -> Result<(), String> {
        if let (Expr::Var(_), Some(call)) = (&set.target, namespace_call(&set.expr)) {
            for argument in &call.args {
                match argument {
                    CallArg::Kwarg(name, value) if may_be_held(Some(name), value) => {
                        self.value(value)?;
                    }
                    _ => return Err("namespace: expected named plain values".to_owned()),
                }
            }
            return Ok(());
        }
        self.target(&set.target)?;
        if let Expr::GetAttr(attribute) = &set.target
            && PLAIN_ATTRIBUTES.contains(&attribute.name)
            && !is_plain(&set.expr)
        {
            return Err(format!("attribute {}: expected text", attribute.name));
        }
        self.value(&set.expr)
    }

    fn declaration(&self, declared: &Macro<'a>) -> Result<(), String> {
        declared.args.iter().try_for_each(|target| self.target(target))?;
        declared.defaults.iter().try_for_each(|value| self.value(value))
    }

    /// What is assigned to. A namespace's own name is free for nothing else.
    fn target(&self, target: &Expr<'a>) -> Result<(), String> {
        match target {
            Expr::Tuple(targets) => targets.items.iter().try_for_each(|item| self.target(item)),
            Expr::List(targets) => targets.items.iter().try_for_each(|item| self.target(item)),
            Expr::GetAttr(attribute) => self.base(&attribute.expr),
            other => self.value(other),
        }
    }

    /// What stands before a dot or a bracket.
    fn base(&self, expression: &Expr<'a>) -> Result<(), String> {
        match expression {
            Expr::Var(_) => Ok(()),
            other => self.value(other),
        }
    }

    fn value(&self, expression: &Expr<'a>) -> Result<(), String> {
        match expression {
            Expr::Const(_) => Ok(()),
            Expr::Var(name) if self.by_attribute_only.contains(name.id) => {
                Err(format!("{}: expected one of its attributes, found all of it", name.id))
            }
            Expr::Var(_) => Ok(()),
            Expr::Slice(slice) => {
                let bounds = [&slice.start, &slice.stop, &slice.step];
                bounds.into_iter().flatten().try_for_each(|bound| self.value(bound))?;
                self.value(&slice.expr)
            }
            Expr::UnaryOp(operator) => self.value(&operator.expr),
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
            Expr::List(list) => self.items(&list.items),
            Expr::Tuple(tuple) => self.items(&tuple.items),
            Expr::Map(map) => {
                self.items(&map.keys)?;
                for (key, value) in map.keys.iter().zip(&map.values) {
                    let name = match key {
                        Expr::Const(key) => key.value.as_str(),
                        // Any name, so perhaps one that promises text.
                        _ => Some(PLAIN_ATTRIBUTES[0]),
                    };
                    held(name, value)?;
                    self.value(value)?;
                }
                Ok(())
            }
        }
    }

    fn items(&self, items: &[Expr<'a>]) -> Result<(), String> {
        items.iter().try_for_each(|item| held(None, item))?;
        items.iter().try_for_each(|item| self.value(item))
    }

    fn call(&self, call: &Call<'a>) -> Result<(), String> {
        match &call.expr {
            Expr::Var(name) if name.id == NAMESPACE => {
                return Err("namespace: expected only where it is given a name".to_owned());
            }
            // A recursive loop calls itself by its name.
            Expr::Var(_) => {}
            Expr::GetAttr(method) => self.base(&method.expr)?,
            other => self.value(other)?,
        }
        self.arguments(&call.args)
    }

    fn arguments(&self, arguments: &[CallArg<'a>]) -> Result<(), String> {
        arguments.iter().try_for_each(|argument| match argument {
            CallArg::Pos(value)
            | CallArg::Kwarg(_, value)
            | CallArg::PosSplat(value)
            | CallArg::KwargSplat(value) => self.value(value),
        })
    }
}

fn namespace_call<'e, 'a>(expression: &'e Expr<'a>) -> Option<&'e Call<'a>> {
    match expression {
        Expr::Call(call) => match &call.expr {
            Expr::Var(name) if name.id == NAMESPACE => Some(call),
            _ => None,
        },
        _ => None,
    }
}

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

fn held(name: Option<&str>, value: &Expr<'_>) -> Result<(), String> {
    if may_be_held(name, value) {
        return Ok(());
    }
    Err("a list or map: expected only text, numbers and the like in it".to_owned())
}

/// Whether a list, map or namespace may hold a value, under a name if it has one: what is plain, and
/// lists and maps that are written on the spot.
fn may_be_held(name: Option<&str>, value: &Expr<'_>) -> bool {
    let promises_text = name.is_some_and(|name| PLAIN_ATTRIBUTES.contains(&name));
    let is_literal = matches!(value, Expr::List(_) | Expr::Tuple(_) | Expr::Map(_));
    is_plain(value) || (is_literal && !promises_text)
}

/// Whether a value is certainly no list, map or namespace.
fn is_plain(expression: &Expr<'_>) -> bool {
    match expression {
        Expr::Const(_) | Expr::UnaryOp(_) | Expr::Compare(_) | Expr::Test(_) => true,
        Expr::BinOp(operator) => match operator.op {
            // A list plus a text is an error; a list times a number is a list.
            BinOpKind::Add => is_plain(&operator.left) || is_plain(&operator.right),
            BinOpKind::Mul | BinOpKind::ScAnd | BinOpKind::ScOr => {
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
            PLAIN_ATTRIBUTES.contains(&attribute.name)
                || (is_loop && LOOP_NUMBERS.contains(&attribute.name))
        }
        Expr::GetItem(item) => match &item.subscript_expr {
            Expr::Const(name) => {
                name.value.as_str().is_some_and(|name| PLAIN_ATTRIBUTES.contains(&name))
            }
            _ => false,
        },
        Expr::Call(call) => match &call.expr {
            Expr::Var(name) => PLAIN_FUNCTIONS.contains(&name.id),
            Expr::GetAttr(method) => PLAIN_RESULTS.contains(&method.name),
            _ => false,
        },
        Expr::Var(_) | Expr::Slice(_) | Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => false,
    }
}
