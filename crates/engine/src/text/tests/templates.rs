//! Templates are programs of strangers: they can neither harm the machine nor hang.

use serde_json::{Value, json};

use super::*;
use crate::text::{Conversation, TemplateExtras, TextError, ToolCall};

fn render(template: &str) -> Result<String, TextError> {
    let text = Text::new(&vocabulary(), Some(template))?;
    let ids = text.prompt(&[message(Role::User, "hello")])?;
    Ok(spelled(&text, &ids))
}

#[test]
fn what_a_request_nests_as_deep_as_json_may_is_written() {
    let deep: Value = serde_json::from_str(&("[".repeat(127) + &"]".repeat(127))).expect("JSON");
    let template =
        "{{ tools | tojson }}{{ messages[1].tool_calls[0].function.arguments | tojson }}";
    let text = Text::new(&vocabulary(), Some(template)).expect("a whole vocabulary");
    let call = ToolCall { name: "f".to_owned(), arguments: json!({"a": deep}) };
    let answer = Message { tool_calls: vec![call], ..Message::assistant("") };
    let extras = TemplateExtras { tools: vec![json!({"a": deep})], ..TemplateExtras::default() };
    let messages = [Message::user("hi"), answer, Message::user("and?")];
    let conversation = Conversation { messages: &messages, extras: &extras, origin: None };
    let ids = text.fit_conversation(&conversation, 10_000, 0).expect("it renders").ids;
    assert_eq!(spelled(&text, &ids).matches('[').count(), 2 * 127 + 1);
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
        "{% set n = namespace(x=[1]) %}{% for i in range(64) %}{% set n.x = n.x + n.x %}\
         {% endfor %}{{ n.x ~ '' }}"
            .to_owned(),
        "{% set n = namespace(x=[1]) %}{% for i in range(64) %}{% set n.x = n.x * 9 %}\
         {% endfor %}{{ n.x | length }}"
            .to_owned(),
        format!(
            "{{% set x = [messages] %}}{}{{{{ x | length }}}}",
            "{% set x = (x, x) %}".repeat(9)
        ),
        format!("{{% set x = messages %}}{{{{ [{}] | length }}}}", "x,".repeat(500)),
        "{% set n = namespace() %}{% set m = namespace(n=n) %}{{ m.n.x }}".to_owned(),
        "{% set n = namespace() %}{% set x = [n] %}{{ x | length }}".to_owned(),
        "{% set banter_checked_literal = 1 %}{{ [messages] | length }}".to_owned(),
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
    let number = render("{{ raise_exception(messages | length) }}");
    assert_eq!(number, Err(TextError::Refused("1".to_owned())));
    let error = render("{{ messages[0].content + 1 }}").expect_err("it is wrong");
    assert!(matches!(error, TextError::Template(_)), "{error:?}");
}

#[test]
fn a_template_is_tried_with_two_turns_before_anybody_asks() {
    let tried = |template: &str| {
        let text = Text::new(&vocabulary(), Some(template)).expect("it is Jinja");
        text.try_template().map_err(|error| error.to_string())
    };
    let body =
        "{% for m in messages %}<|im_start|>{{ m.role }}{{ m.content }}<|im_end|>{% endfor %}";
    let refusing = |condition: &str| {
        format!("{{% if {condition} %}}{{{{ raise_exception('not so') }}}}{{% endif %}}{body}")
    };
    let failing =
        |condition: &str| format!("{{% if {condition} %}}\n{{{{ 1 + '' }}}}{{% endif %}}{body}");
    let usable = [
        body.to_owned(),
        // A template may refuse system messages, or use only the newest message.
        refusing("messages[0].role == 'system'"),
        "{{ messages[-1].content }}".to_owned(),
        "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}".to_owned(),
        refusing("messages | length > 4"),
    ];
    for template in usable {
        assert_eq!(tried(&template), Ok(()), "{template}");
    }
    let two_turns = "tried with a question, its answer and another question: ";
    let cases = [
        (
            String::new(),
            "tried with one question: expected the user's message in the prompt, found nothing",
        ),
        ("{% for m in conversation %}{{ m.content }}{% endfor %}".to_owned(), "found nothing"),
        (
            "hello".to_owned(),
            "tried with one question: expected the user's message in the prompt, found none of it",
        ),
        (failing("true"), "tried with one question: "),
        (failing("messages[1]"), two_turns),
        (refusing("messages[1]"), "another question: it refuses the conversation: not so"),
        (refusing("messages | length > 1 and messages[1].role == 'assistant'"), two_turns),
        (failing("messages[0].role == 'system'"), "tried with a system message and one question: "),
        ("{{ messages[0]['content'].nothing() }}".to_owned(), "in chat:1"),
        (failing("messages[1]"), "in chat:2"),
    ];
    for (template, expected) in cases {
        let error = tried(&template).expect_err(&template);
        assert!(error.contains(expected), "{template}: {error}");
    }
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
        (
            "{{ [0.0001, 1e-5, 1.5e16, 123456789012345.0, 2.0, -0.1] | tojson }}",
            "[0.0001, 1e-05, 1.5e+16, 123456789012345.0, 2.0, -0.1]",
        ),
        ("{{ tools is none }} {{ tools is defined }}", "True True"),
        ("{{ eos_token }}{{ bos_token }}", "<|im_end|>"),
    ];
    for (template, expected) in cases {
        assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn lists_and_maps_of_a_template_work_as_pythons() {
    let cases = [
        (
            "{% set x = messages + [1] %}{{ x[1] }}{{ x[-1] }}{{ x | length }}{{ x[:1][0].content }}",
            "112hello",
        ),
        ("{{ (messages + messages) is sequence }} {{ [1] + [2] == [1, 2] }}", "True True"),
        ("{% set x, y = messages[0].role, messages %}{{ x }}{{ y | length }}", "user1"),
        ("{% set x = messages[0].role, messages[0].content %}{{ x[1] }}{{ x | length }}", "hello2"),
        (
            "{{ dict(messages[0], role='me').role }} {{ dict(a=1, b=messages).b[0].content }}",
            "me hello",
        ),
        ("{{ dict(a=messages[0].role).a }} {{ dict() | length }}", "user 0"),
        ("{{ {messages[0].role: messages}['user'][0]['content'] }}", "hello"),
        ("{{ [[messages[0].role], [messages]][1][0][0].content }}", "hello"),
        ("{{ ([1] + messages)[1].content + (messages[0].role + 's') * 1 + '' }}", "hellousers"),
        ("{{ messages[0].content in ['hello', messages[0].role] }}", "True"),
        ("{% for m in [messages[0]] + messages %}{{ m.content }}{% endfor %}", "hellohello"),
        ("{% for a, b in [(1, messages[0])] %}{{ a }}{{ b.role }}{% endfor %}", "1user"),
        ("{% with x = [messages[0]] %}{{ x[0].role }}{% endwith %}", "user"),
        (
            "{{ ([messages[0].role]+['你好'])|join('é') + ['🦀', messages[0].role][0] }}",
            "useré你好🦀",
        ),
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
