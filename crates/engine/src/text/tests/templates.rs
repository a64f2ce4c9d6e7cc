//! Templates are somebody else's programs.

use super::*;
use crate::text::TextError;

fn render(template: &str) -> Result<String, TextError> {
    let text = Text::new(&vocabulary(), Some(template))?;
    let ids = text.prompt(&[message(Role::User, "hello")])?;
    Ok(spelled(&text, &ids))
}

#[test]
fn bombs_end_in_an_error_on_a_small_stack() {
    let bombs = [
        "{% for a in range(10000) %}{% for b in range(10000) %}{% for c in range(10000) %}x\
         {% endfor %}{% endfor %}{% endfor %}"
            .to_owned(),
        "{% for a in range(1000000000) %}x{% endfor %}".to_owned(),
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_owned(),
        "{% if true %}".repeat(50_000),
        "{% for a in [1] %}".repeat(50_000) + &"{% endfor %}".repeat(50_000),
        format!("{{{{ {}1{} }}}}", "(".repeat(200), ")".repeat(200)),
        format!("{{{{ {}1{} }}}}", "[".repeat(20_000), "]".repeat(20_000)),
        format!("{{{{ {}1 }}}}", "not ".repeat(20_000)),
        format!("{{{{ {}1 }}}}", "-".repeat(20_000)),
        format!("{{{{ 1{} }}}}", " ~ 1".repeat(20_000)),
        format!("{{% raw %}}{{#{{% endraw %}}{{{{ x{} }}}}", "~1\n".repeat(40_000)),
        format!("{{%- raw -%}}{{{{ '{{%- endraw -%}}{{{{ x{} }}}}", "~1\n".repeat(40_000)),
        format!("{{# {}", "{{ x }}\n".repeat(10_000)),
        format!("{{% {} %}}", "a".repeat(50_000)),
        format!("{}{{{{ ` }}}}", " ".repeat(70_000)),
        format!("{{{{ raise_exception('{}') }}}}", "a".repeat(50_000)),
        "{{ 'a' * 1000000000 }}".to_owned(),
        "{% set x = 'a' * 100000 %}{{ x | replace('a', x) }}".to_owned(),
        format!("{{% set x = 'aaaaaaaa' %}}{}{{{{ x }}}}", "{% set x = x ~ x %}".repeat(64)),
        format!("{{% set x = [1] %}}{}{{{{ x | tojson }}}}", "{% set x = [x, x] %}".repeat(64)),
        "{{ 'hello' * 300000 }}".to_owned(),
        "{% set x = 'a' * 500000 %}{{ ([x] * 2000) | join }}".to_owned(),
        "{{ ('a' * 100000).replace('a', 'a' * 100000) }}".to_owned(),
        "{% set n = namespace() %}{% set n.n = n %}{{ n }}".to_owned(),
        "{% set n = namespace() %}{% set n.n = n %}{{ n ~ '' }}".to_owned(),
        "{% set n = namespace(x=[1]) %}{% for i in range(64) %}{% set n.x = [n.x, n.x] %}\
         {% endfor %}{{ n.x == n.x[0] }}"
            .to_owned(),
        "{% set n = namespace(x=[1]) %}{% for i in range(64) %}{% set n.x = dict(a=n.x, b=n.x) %}\
         {% endfor %}{{ n.x ~ '' }}"
            .to_owned(),
        "{% set n = namespace(x=[1]) %}{% for i in range(64) %}\
         {% set n.x = (n.x + n.x) | batch(9) | list %}{% endfor %}{{ n.x ~ '' }}"
            .to_owned(),
        "{% set f = namespace %}{% set n = f() %}{% set n.n = n %}{{ n ~ '' }}".to_owned(),
        "{% set n = namespace(y={'content': [1]}) %}{% for i in range(64) %}\
         {% set n.y = {'content': [n.y.content, n.y.content]} %}{% endfor %}{{ n.y ~ '' }}"
            .to_owned(),
        "{% set n = namespace(y=[1]) %}{% for i in range(64) %}\
         {% set n.y = {'con' ~ 'tent': [n.y['content']]} %}{% endfor %}{{ n.y ~ '' }}"
            .to_owned(),
        "{% set n = namespace(content='') %}{% set n.content = messages %}\
         {% set n.content = [n.content, n.content] %}{{ n.content }}"
            .to_owned(),
    ];
    let small_stack = 512 * 1024;
    for bomb in bombs {
        let shown: String = bomb.chars().take(80).collect();
        let ended = std::thread::Builder::new()
            .stack_size(small_stack)
            .spawn(move || render(&bomb))
            .expect("a thread starts")
            .join()
            .expect("no panic");
        let is_error = matches!(ended, Err(TextError::Template(_) | TextError::Refused(_)));
        assert!(is_error, "{shown}: {ended:?}");
        let told = ended.map_or_else(|error| error.to_string(), |_| String::new());
        assert!(told.len() < 1_000, "{shown}: {} bytes of error", told.len());
    }
}

#[test]
fn raw_blocks_are_text() {
    assert_eq!(
        render("{% raw %}{{ x }}{% if %}{#{% endraw %}|").as_deref(),
        Ok("{{ x }}{% if %}{#|")
    );
}

#[test]
fn templates_see_nothing_of_the_machine() {
    let probes = [
        "{{ ''.__class__ }}",
        "{{ messages.__globals__ }}",
        "{{ cycler }}",
        "{{ lipsum }}",
        "{{ self }}",
        "{{ config }}",
        "{{ request }}",
    ];
    for probe in probes {
        let text = render(&format!("[{probe}]")).unwrap_or_else(|_| "[]".to_owned());
        assert_eq!(text, "[]", "{probe}");
    }
    for refused in ["{% include 'x' %}", "{% import 'x' as x %}", "{% extends 'x' %}"] {
        assert!(render(refused).is_err(), "{refused}");
    }
}

#[test]
fn a_template_can_refuse_a_conversation() {
    let refused = Err(TextError::Refused("roles must alternate".to_owned()));
    let raises = "raise_exception('roles must ' + 'alternate')";
    for template in [
        format!("{{{{ {raises} }}}}"),
        format!(
            "{{% for message in messages %}}{{% if message.content %}}{{{{ {raises} }}}}{{% endif %}}{{% endfor %}}"
        ),
        format!("{{% macro check() %}}{{{{ {raises} }}}}{{% endmacro %}}{{{{ check() }}}}"),
        format!("{{% set checked = {raises} %}}"),
    ] {
        assert_eq!(render(&template), refused, "{template}");
    }
    let error = render("{{ messages[0].content + 1 }}").expect_err("it is wrong");
    assert!(matches!(error, TextError::Template(_)), "{error:?}");
}

#[test]
fn python_methods_of_strings_work() {
    let template = "{{ messages[0].content.strip().upper().split('L')[0] }}{{ [1,2][::-1][0] }}";
    assert_eq!(render(template).as_deref(), Ok("HE2"));
    let template = "{{ ', '.join(['a', 1]) }} {{ 'a-b'.split('-') | join('+') }}";
    assert_eq!(render(template).as_deref(), Ok("a, 1 a+b"));
}

#[test]
fn values_are_written_as_python_writes_them() {
    let cases = [
        ("{{ true }} {{ none }} {{ 1 }} {{ 1.5 }} {{ missing }}|", "True None 1 1.5 |"),
        (
            "{{ {'b': [1, true, none], 'a': 'é<\"\\n'} | tojson }}",
            "{\"b\": [1, true, null], \"a\": \"é<\\\"\\n\"}",
        ),
        ("{{ {'b': 1, 'a': []} | tojson(sort_keys=true) }}", "{\"a\": [], \"b\": 1}"),
        ("{{ ['é👍'] | tojson(ensure_ascii=true) }}", "[\"\\u00e9\\ud83d\\udc4d\"]"),
        ("{{ {'a': [1]} | tojson(indent=2) }}", "{\n  \"a\": [\n    1\n  ]\n}"),
        ("{{ [1, 2] | tojson(separators=(',', ':')) }}", "[1,2]"),
        ("{{ tools is none }} {{ tools is defined }}", "True True"),
        ("{{ eos_token }}{{ bos_token }}", "<|im_end|>"),
    ];
    for (template, expected) in cases {
        assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn tags_that_mark_answers_for_training_do_nothing() {
    let template = "{% for m in messages %}\n  {%- generation -%}\n {{ m.content }}\n\
                    {% endgeneration %}\n{% endfor %}";
    assert_eq!(render(template).as_deref(), Ok("hello\n"));
}

#[test]
fn white_space_is_cut_as_transformers_sets_it() {
    let template = "{% if true %}\n  a\n    {% if true %}\nb\n    {% endif %}\n{% endif %}\n";
    assert_eq!(render(template).as_deref(), Ok("  a\nb\n"));
}
