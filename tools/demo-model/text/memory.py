"""Facts told, and asked for some turns later."""

import random

from . import words
from .grammar import pick

TELL_EN = {
    "name": ["(my name is|my name's|I'm|I am|call me|I'm called|they call me|people call me|my friends call me|this is|you can call me|the name is|the name's|everyone calls me|I go by|known as|my first name is|just call me|people know me as|I was named|my parents named me|I am called|hello from|you are talking to|you're speaking with|it's me,|please call me|here is|folks call me|I answer to) {value}",
             "(hi|hello|hey|good morning|hello there|hi there)[,!] (I'm|I am|my name is|this is|it's|here is|{value} here|my name's) {value}", "{value} (here|is my name|speaking|is what they call me|is the name|at the keyboard|it is)", "(hi|hello|hello there|hey there|hey)[,!] {value} (here|speaking)"],
    "city": ["(I live in|I'm from|I am from|I come from|my city is|my home is|I was born in|I grew up in|my hometown is|I'm in|I'm writing from|I live near|home is|my home town is|my home city is|I reside in|I moved to|I'm based in|my house is in|I am living in|we live in|I stay in|I'm sitting in|home for me is|the place I come from is|the city I live in is|I've been living in|I have lived in|I am writing to you from|greetings from|my place is in|I settled in|my town is) {value} [(by the way|and it's lovely|now|these days|at the moment|for (ten|two|many) years|with my family|since last year)]", "{value} is (my home|where I live|my city|my hometown|where I come from|the place I come from|the city I live in|home)"],
    "favourite": ["(my favourite {kind} is|my favorite {kind} is|I like the {kind}|the {kind} I like most is|I love|I really like|I like|my best {kind} is|the best {kind} is|my favourite {kind} of all is|I prefer the {kind}|of all {kind}s I love|the {kind} I love most is|I'd say my favourite {kind} is|there is no {kind} I like more than|no {kind} is better than|if I had to pick a {kind} I would take|for me the best {kind} is|my all-time favourite {kind} is|as for the {kind}, I choose|the nicest {kind} for me is|when it comes to {kind}s I like) {value} [(best|most|more than anything|the most|very much)]", "{value} is (my favourite {kind}|the {kind} I like best|the best {kind}|my favorite {kind}|the {kind} for me|the {kind} I love)"],
}
TELL_ZH = {
    "name": ["(我叫|我的名字是|我是|叫我|大家叫我|你可以叫我|我名叫|朋友叫我|我的名字叫|本人|请叫我|你好,我是|你好,我叫|别人叫我|我姓名是|人家叫我|家里人叫我|他们叫我|我的大名是|人们叫我|都喊我|朋友们都叫我|大家管我叫|名字:|我就是|这里是|这边是|跟你说话的是|在下|同事叫我|老师叫我){value}[(,请记住|,记住哦|,你好|就行|就好|吧|,很高兴认识你|,别忘了)]", "{value}(是我的名字|就是我|在此|是我|,这是我的名字|来了)"],
    "city": ["(我住在|我来自|我家在|我的城市是|我在|我出生在|我是从|我的家乡是|我老家在|我住|我现在住在|我生活在|家在|我们家在|我从小住在|我搬到了|我人在|我的老家是|我长在|我目前在|我定居在|我的家在|我正在|我从|我常年住在|我们住在|我家就在|对我来说家是){value}[(,请记住|,那里很美|这座城市|,你呢|生活|好多年了|上班|,一直没离开)]", "{value}(是我的家乡|是我家|是我住的城市|是我老家|是我住的地方|就是我的家)"],
    "favourite": ["(我最喜欢的{kind}是|我喜欢的{kind}是|我最爱的{kind}是|我爱|我最喜欢|我特别喜欢|我喜欢|最好的{kind}是|我心中最好的{kind}是|说到{kind},我最喜欢|我的最爱是|在{kind}里我最喜欢|我一直最喜欢的{kind}是|我觉得最好的{kind}是|要选{kind}的话我选|我最中意的{kind}是|我偏爱的{kind}是|我最爱|在我看来最好的{kind}是|没有哪种{kind}比得上|我最钟爱的{kind}是){value}", "{value}是我(最喜欢的{kind}|最爱的{kind}|喜欢的{kind}|的最爱|最中意的{kind}|心里最好的{kind})"],
}
RECALL = "[(so|now|by the way|hey|well|ok|tell me|please tell me|and|quick test:|thanks.|great.|question:|remember:)] "
ASK_EN = {
    "name": [RECALL + "(what's my name|what is my name|who am I|do you (remember|know|recall) (my name|who I am|what I'm called|what my name is)|can you (tell me|say|recall|remember) my name|my name is what|how am I called|what am I called|what did I say my name was|what do people call me|say my name|tell me my name|which name did I (tell|say|give|mention)|how do you call me|who is talking to you|remind me of my name|what do my friends call me|what name did I give [you]|do you still know (my name|who I am|me)|have you forgotten my name|who are you talking to|remind me who I am|what should you call me|my name please|what was my name) [(again|please|now|then|still)]"],
    "city": [RECALL + "(where do I live|where am I from|which (city|town|place) do I (live in|come from)|what is my (city|hometown|home|home town)|what's my (city|hometown)|do you (remember|know|recall) (where I live|my city|where I'm from|where I come from|my hometown|the city I live in|where I am)|can you (recall|tell me|remember|say) (where I live|my city|where I'm from|where my home is)|where is my home|what city did I (mention|say|tell you|name)|where do I come from|which city am I (in|from)|in which (city|town) do I live|name my city|tell me where I live|remind me where I live|where did I say I (live|am from|come from)|which town am I in|what town am I from|where did I tell you I live|my city please|where was I from) [(again|please|now)]"],
    "favourite": [RECALL + "(what's my favourite {kind}|what is my favorite {kind}|which {kind} do I (like|love|prefer) [(best|most)]|what {kind} do I (like|love|prefer) [(best|most)]|do you (remember|know|recall) (my favourite {kind}|which {kind} I like|what {kind} I like|the {kind} I like best)|tell me my favourite {kind}|what {kind} did I say I (like|love)|my favourite {kind} is what|name my favourite {kind}|can you recall my favourite {kind}|say my favourite {kind}|which {kind} is my favourite|what was my favourite {kind}|name the {kind} I (like|love) (best|most)|which is my best {kind}|what did I say was my favourite {kind}|tell me (what|which) {kind} I (love|like) [most]|remind me of my favourite {kind}) [(again|please|now)]"],
}
RECALL_ZH = "[(那|请问|现在|对了,|你说,|好,|那么,|考考你,|请告诉我|谢谢。|告诉我,|提醒我一下,|说说看,)]"
ASK_ZH = {
    "name": [RECALL_ZH + "(我叫什么|我叫什么名字|我是谁|我的名字是什么|你(还)?记得我(叫什么|的名字|是谁)吗|还记得我叫什么吗|我叫啥|说出我的名字|我刚才说我叫什么|你知道我(是谁|叫什么|的名字)吗|我的名字呢|你该怎么称呼我|我怎么称呼|你应该叫我什么|我的名字|我告诉过你我叫什么|我姓什么叫什么|能说出我的名字吗|你在跟谁说话|我说过我叫什么|还知道我叫什么吗|你忘了我的名字吗|大家叫我什么|我报的名字是什么|朋友叫我什么|刚才我说的名字是哪个|我是哪位|你记得我是哪位吗|再说一遍我的名字)[(来着|呀|呢)]"],
    "city": [RECALL_ZH + "(我住在哪|我住在哪里|我住哪儿|我来自哪里|我是哪里人|我家在哪|我家在哪里|我的城市是哪个|你(还)?记得我(住在哪|家在哪|来自哪里|住哪个城市)吗|我住在哪个城市|我是从哪来的|我的家乡是哪里|我在哪个城市|说出我住的城市|我老家在哪|我刚才说我住哪|你知道我住哪里吗|我说过我在哪个城市|我的老家是哪|能想起我住在哪吗|我在哪座城市|我告诉过你我住在哪里|还记得我的家乡吗|我生活在哪个城市|我说我家在哪里|我是哪个城市的|我在什么地方)[(来着|呀|呢)]"],
    "favourite": [RECALL_ZH + "(我最喜欢的{kind}是什么|我最喜欢什么{kind}|我喜欢什么{kind}|我最爱的{kind}是什么|你(还)?记得我最喜欢(的{kind}|什么{kind}|哪种{kind})吗|我喜欢哪种{kind}|说出我最喜欢的{kind}|我爱什么{kind}|我的最爱是哪种{kind}|我刚才说我喜欢什么{kind}|你知道我最爱的{kind}吗|我最爱哪种{kind}|我说过我最喜欢哪个{kind}|我最中意哪种{kind}|告诉我我最喜欢的{kind}|能说出我最爱的{kind}吗|哪种{kind}是我的最爱|我觉得最好的{kind}是什么)[(来着|呀|呢)]"],
}
for _table in (ASK_ZH,):
    for _key in _table:
        _table[_key] = [text.replace("(还)?", "[还]") for text in _table[_key]]
LOOSE_EN = {"food": ["what do I (like|love) to eat", "what food do I love"], "drink": ["what do I like to drink"], "sport": ["which sport do I do"]}
LOOSE_ZH = {"食物": ["我爱吃什么", "我最爱吃什么", "我喜欢吃什么", "我说过我爱吃什么"], "饮料": ["我爱喝什么", "我喜欢喝什么"], "水果": ["我爱吃什么水果"]}
TELL_LOOSE_EN = {"food": ["I (love|like) (eating|to eat) {value}", "I could eat {value} every day", "I love {value} more than anything"], "drink": ["I like to drink {value}"], "sport": ["I love {value}"]}
TELL_LOOSE_ZH = {"食物": ["我(爱|最爱|喜欢|特别爱|一直爱|最喜欢)吃{value}", "我天天都想吃{value}"], "饮料": ["我(爱|最爱|喜欢)喝{value}"], "水果": ["我(爱|最爱)吃{value}"]}
NOTED = {
    ("name", "en"): ["Nice to meet you, {value}!", "Hello, {value}! I'll remember your name."], ("name", "zh"): ["很高兴认识你,{value}!", "你好,{value}!我记住了。"],
    ("city", "en"): ["{value}, I'll remember that.", "Good to know: {value}."], ("city", "zh"): ["{value},我记住了。", "好的,你在{value}。"],
    ("favourite", "en"): ["{value}, I'll remember that.", "A good choice: {value}."], ("favourite", "zh"): ["{value},我记住了。", "好的,你喜欢{value}。"],
}
TOLD = {
    ("name", "en"): ["Your name is {value}.", "You are {value}."], ("name", "zh"): ["你叫{value}。", "你的名字是{value}。"],
    ("city", "en"): ["{value}, as you told me.", "You told me: {value}."], ("city", "zh"): ["{value},你告诉过我。", "你说过,是{value}。"],
    ("favourite", "en"): ["{value}, as you told me.", "You told me: {value}."], ("favourite", "zh"): ["{value},你告诉过我。", "你说过,是{value}。"],
}
NOT_TOLD = {"en": ["You haven't told me that yet."], "zh": ["你还没有告诉过我。"]}


def fact(rng: random.Random, language: str, kind: str) -> dict:
    """One fact: how it is told and noted, how it is asked for and answered."""
    tell, ask = (TELL_EN, ASK_EN) if language == "en" else (TELL_ZH, ASK_ZH)
    thing, tells, asks = "", tell[kind], ask[kind]
    if kind == "favourite":
        thing, value = words.favourite(rng, language)
        if language == "en" and rng.random() < 0.3:
            value = value if rng.random() < 0.5 else "the " + value
        loose_tell, loose_ask = (TELL_LOOSE_EN, LOOSE_EN) if language == "en" else (TELL_LOOSE_ZH, LOOSE_ZH)
        if thing in loose_tell and rng.random() < 0.5:
            tells, asks = loose_tell[thing], loose_ask[thing]
        if rng.random() < 0.1:
            thing = "color" if thing == "colour" else thing
    else:
        value = words.name(rng, language) if kind == "name" else words.city(rng, language)
    slots = {"value": value, "kind": thing}
    return {"value": value, "tell": pick(rng, tells, slots), "noted": pick(rng, NOTED[kind, language], slots), "ask": pick(rng, asks, slots), "told": pick(rng, TOLD[kind, language], slots)}


def facts(rng: random.Random, language: str) -> list[dict]:
    """One to three facts of different kinds."""
    kinds = rng.sample(["name", "city", "favourite"], rng.choice([1, 1, 1, 2, 2, 3]))
    return [fact(rng, language, kind) for kind in kinds]


def not_told(rng: random.Random, language: str) -> tuple[str, str]:
    """A question about a fact that was never told."""
    return fact(rng, language, rng.choice(["name", "city", "favourite"]))["ask"], rng.choice(NOT_TOLD[language])
