"""Answers that are right or wrong to the character: sums, counting, the alphabet, and repeating."""

import random
import string

from . import words
from .grammar import pick

# ---- arithmetic --------------------------------------------------------------------------------------------------

ONES_EN = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS_EN = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
ONES_ZH = "零一二三四五六七八九"
WHAT_EN = "(what is|what's|whats|how much is|calculate|compute|work out|tell me|what does|find|evaluate|solve|figure out|can you (calculate|work out|compute|do|solve)|could you (calculate|work out|compute|solve|do)|how many is|I need|give me|I want to know|do you know|what do you get (for|from|with)|quick sum|quick:|sum:|please (calculate|compute|work out)|I need the result of|what number is|what do I get (for|from)|say|help me with|count|the result of|the answer to|what would be|let me know|result:|calc)"
ADD_ASK_EN = [
    "[" + WHAT_EN + "] {a}( + |+|+ | +| plus | and | added to | & ){b}[( =| = ?|=|=?| equals| equals what| is| is what| makes| make| gives| is how much| equals how much| equals what number| makes what| be| in total| together)]",
    "(add|add up|sum|total|put together|sum up|combine|can you add|could you add|could you total|please add|would you add) {a} (and|to|with|plus) {b}",
    "(the sum of|the total of|sum of|what is the sum of|what's the total of|give me the sum of|find the sum of|add together) {a} (and|plus|with) {b}",
    "(how much|what|how many) (do|does|is|are|would) {a} (and|plus|added to) {b} (make|give|come to|equal|add up to|together|total|in total|make together|make in all|sum to)",
    "{a} and {b} (makes|together|give|gives|add up to what|is how much|in total|make|summed|added)",
    "(I have|there are|she has|he bought|we have|Tom has|I picked|I own|in the box are) {a} {thing} and (buy|get|find|add|receive|take|pick|then get|she gives me|buy another) {b} (more|others|extra|new ones)[,] (how many (now|in all|are there|do I have|altogether)|how many is that|what is the total|how many in total)",
    "if (I|you|we) (add|put|count) {b} (to|onto|on top of) {a}[,] (what (do I|do you|do we) get|what is it|how much is it|what comes out|what's the result)",
]
SUBTRACT_ASK_EN = [
    "[" + WHAT_EN + "] {a}( - |-|- | -| minus | less | − | take away ){b}[( =| = ?|=|=?| equals| equals what| is| is what| makes| gives| is how much| equals how much| leaves| leaves what)]",
    "(subtract|take|take away|deduct|remove|can you subtract|could you subtract|please subtract|would you take) {b} from {a}",
    "(the difference (between|of)|what is the difference between|difference of|difference between|find the difference of|give me the difference between|how far apart are|how much lies between) {a} and {b}",
    "(I have|there are|she has|he had|we have|Tom has|if I have|if there are|suppose I have) {a} {thing} and (eat|lose|give away|sell|take away|remove|spend|drop|then lose|she takes|use up|give you) {b}[,] (how many (are left|remain|do I have left|now|are there|stay)|what remains|what is left|how many is that)",
    "(how much|what) (remains|is left|stays|is) (if|when) (I|you|we) take {b} (from|away from|out of|off) {a}",
    "if (I|you|we) (take|subtract|remove) {b} (from|out of|off) {a}[,] (what (do I|do you|do we) get|what is left|what remains|how much is left)",
    "{a} (reduced by|decreased by|lowered by|without) {b}",
]
ADD_ASK_ZH = [
    "[(请|帮我|请问|麻烦|帮忙|能|快|速算:|请你|计算题:|替我)][(算|算一下|计算|算算|算出|求|口算|计算一下)][ ]{a}(+| + |加|加上| 加 |跟|和| 加上 |与){b}[(等于多少|=|= ?|=?|是多少|等于几|得多少|得几|是几|等于|的和|一共是多少|的结果|的结果是多少|总共多少|等于什么|是什么数|合起来是多少|加起来是多少|等于哪个数|的和是多少|的和是几)]",
    "{a}(和|跟|与|同|还有)[ ]{b}(加起来|相加|的和|合起来|加在一起|的总和|合在一起|加一起|一共|凑起来|合计|总共|凑一起)[(是多少|等于多少|是几|得多少|等于几|多少|是什么|有多少|得几|呢|是)]",
    "(把|将)[ ]{a}(和|加上|跟|与)[ ]{b}(加起来|相加|加在一起|合起来|求和|加一下|合并)[(是多少|得多少|等于几|给我结果|告诉我)]",
    "(我有|有|小明有|盘子里有|妈妈有|篮子里有|他有)[ ]{a}[ ](个|只|本|块|颗|支){thing}[,](又买了|又来了|再加|又得到|又拿来|又捡了|再买|又放进)[ ]{b}[ ](个|只|本|块|颗|支)[,](一共几个|一共有多少|现在有几个|总共多少|现在多少个|一共多少个|共有几个)",
    "(在|给)[ ]{a}(上加|加上|再加|的基础上加)[ ]{b}[,](得多少|是多少|等于几|得到什么|变成多少|结果是几)",
]
SUBTRACT_ASK_ZH = [
    "[(请|帮我|请问|麻烦|帮忙|能|快|速算:|请你|计算题:|替我)][(算|算一下|计算|算算|算出|求|口算|我要知道|计算一下)][ ]{a}(-| - |减|减去| 减 |减掉|−| 减去 |去掉){b}[(等于多少|=|= ?|=?|是多少|等于几|得多少|得几|是几|等于|的差|还剩多少|的结果|的结果是多少|剩几|等于什么|会得到什么|等于哪个数|的差是多少|得到几)]",
    "{a}(和|跟|与|同|比)[ ]{b}(的差|相差|差|大|多|相减)(多少|几|是多少|是几|等于多少|等于几)",
    "(从|在)[ ]{a}[里](减去|拿走|去掉|减掉|扣掉|扣除|取走|拿掉)[ ]{b}[,][(还剩多少|是多少|剩几|等于几|得多少|剩下多少|剩多少|告诉我结果|结果是几)]",
    "(我有|有|小明有|盘子里有|妈妈有|篮子里有|他有|如果有)[ ]{a}[ ](个|只|本|块|颗|支){thing}[,](吃了|拿走|丢了|送出|卖掉|拿走了|少了|送人|用掉|用了|去掉)[ ]{b}[ ](个|只|本|块|颗|支)[,](还剩几个|剩多少|还有几个|剩下多少|剩几个|还剩多少个|剩下几个|现在几个)",
    "(把|将)[ ]{a}(减去|减掉|减|减少)[ ]{b}[,](是多少|得多少|等于几|得几|结果呢)",
]
THINGS_EN = ["apples", "books", "coins", "pens", "eggs", "balls", "cakes", "nuts", "cards", "stamps", "marbles"]
THINGS_ZH = ["苹果", "书", "糖", "球", "鸡蛋", "橘子", "铅笔", "桃子", "卡片", "核桃", ""]


def spell_en(n: int) -> str:
    """A number up to 99 in English words."""
    if n < 20:
        return ONES_EN[n]
    return TENS_EN[n // 10] + ("" if n % 10 == 0 else "-" + ONES_EN[n % 10])


def spell_zh(n: int) -> str:
    """A number up to 99 in Chinese words."""
    tens, ones = divmod(n, 10)
    if tens == 0:
        return ONES_ZH[ones]
    return ("" if tens == 1 else ONES_ZH[tens]) + "十" + ("" if ones == 0 else ONES_ZH[ones])


def _operands(rng):
    """Numbers up to 99, a subtraction without negative result, small ones less often."""
    roll = rng.random()
    high = 9 if roll < 0.15 else 20 if roll < 0.25 else 99
    return rng.randint(0 if high == 9 else 1, high), rng.randint(1, 9 if rng.random() < 0.2 else high)


def _worked(a, sign, b):
    """The working, ten by ten and then the ones, so that each step is a small fact."""
    value = a + b if sign == "+" else a - b
    tens, ones = b - b % 10, b % 10
    if tens == 0 or ones == 0:
        return f"{a} {sign} {b} = {value}"
    middle = a + tens if sign == "+" else a - tens
    return f"{a} {sign} {tens} = {middle}, {middle} {sign} {ones} = {value}"


def arithmetic(rng: random.Random, language: str) -> tuple[str, str]:
    """An addition or subtraction up to two digits, worked out."""
    a, b = _operands(rng)
    sign = rng.choice("+-")
    if sign == "-" and a < b:
        a, b = b, a
    spell = (spell_en if language == "en" else spell_zh) if rng.random() < 0.15 else str
    slots = {"a": spell(a), "b": spell(b), "thing": rng.choice(THINGS_EN if language == "en" else THINGS_ZH)}
    asks = {("+", "en"): ADD_ASK_EN, ("-", "en"): SUBTRACT_ASK_EN, ("+", "zh"): ADD_ASK_ZH, ("-", "zh"): SUBTRACT_ASK_ZH}[sign, language]
    ask = pick(rng, asks[:1] if rng.random() < 0.4 else asks, slots)
    value = a + b if sign == "+" else a - b
    end = f". The answer is {value}." if language == "en" else f",答案是 {value}。"
    return ask, _worked(a, sign, b) + end


# ---- counting and the alphabet -----------------------------------------------------------------------------------

COUNT_ASK_EN = [
    "(count|please count|can you count|could you count|count for me|let me hear you count|I want you to count|start counting|would you count|try to count|count out loud|counting|keep counting|now count|I'd like you to count|go on and count) [for me] from {a} (to|up to|until|till|through) {b}",
    "(say|list|write|recite|give me|name|tell me|type|print|write down|show|I want|I need|read out|speak) [all] (the|all) (numbers|whole numbers|integers) [(from|between)] {a} (to|up to|through|until|till|and) {b} [in order]",
    "(numbers|the numbers|all numbers|count|counting|digits) [from] {a} (to|-|until|through|up to|till) {b} [(in order|please|one after another)]",
    "(start|begin) (at|with|from) {a} and (count|go|go on|continue) [up] (to|until|till) {b}",
    "[from] {a} (to|until|up to) {b}[,] (count|counting|count it|count please|in order)",
]
COUNT_FIRST_ASK_EN = [
    "(count|please count|can you count|could you count|count up|count for me|let me hear you count|start counting|would you count|I want you to count|can you count up|try counting|you count|show me you can count) (to|up to|until|till|all the way to|as far as) {b}",
    "(say|list|write|give me|recite|print|name|tell me) the first {b} (numbers|whole numbers|integers)",
    "(count|do some counting|counting)[,] (up to|until|to|stop at) {b}",
]
COUNT_DOWN_ASK_EN = [
    "(count|please count|can you count|could you count|start counting|let me hear you count|would you count|try to count) (down|backwards|back|backward|in reverse|downwards) from {a} [(to|until|till|down to) {b}]",
    "(count|go|say the numbers) from {a} (down|back|backwards) to {b} [(backwards|please)]",
    "(countdown|a countdown|count down|do a countdown|give me a countdown|backwards|reverse count|start a countdown|make a countdown) from {a} [(to {b}|please|down to {b})]",
    "(start|begin) (at|with|from) {a} and (count|go) (down|backwards|back|in reverse) (to|until) {b}",
]
COUNT_ASK_ZH = [
    "(从|由|请从|你从|可以从|能从|试着从|帮我从|麻烦从)[ ]{a}[ ][(开始|起)](数到|一直数到|数数到|数至|往上数到|数,数到|念到|接着数到|报到|慢慢数到)[ ]{b}",
    "(数|写|念|说|列|报|写出|列出|说出|背|读|念出|数一数|给我|打出)[(一下|出)](从)[ ]{a}[ ](到|至)[ ]{b}[ ][(的数|的数字|的整数|之间的数|的所有数字|这些数)]",
    "(数数|报数|数字|请数数|数一数|念数字|依次数)[,](从|)[ ]{a}[ ](到|至|-)[ ]{b}",
    "{a}[ ](到|至)[ ]{b}[,](数一遍|依次写出|数一下|按顺序写|念一遍|数给我听|按顺序说|挨个数|按顺序念|数出来|报数)",
    "(把|将)[ ]{a}[ ](到|至)[ ]{b}[ ][的](数字|数|整数)(写一遍|数一遍|写出来|念出来|列出来|说一遍|数出来|依次说出|读一遍|背一遍)",
]
COUNT_FIRST_ASK_ZH = [
    "(数到|数数到|请数到|你数到|能数到|会数到|可以数到|帮我数到|从头数到|一直数到|报数到)[ ]{b}[ ][(吗|给我听|看看|为止|就停)]",
    "(数数|报数|请数数|来数数|数一数)[,](数到|到|一直到|直到)[ ]{b}",
]
COUNT_DOWN_ASK_ZH = [
    "(从|由|请从|你从|倒着从|能从)[ ]{a}[ ][(开始|起)](倒数到|往回数到|倒着数到|倒数至|往下数到|反着数到|倒计时到|逆着数到|往后退着数到)[ ]{b}",
    "(倒数|倒着数|倒计时|反着数|往回数|逆序数|倒过来数)[,](从)[ ]{a}[ ](到|数到|开始到|开始数到|至|一直到)[ ]{b}",
    "(从|请从|由)[ ]{a}[ ](倒计时|开始倒数|倒数|开始往回数|往回数|倒着数|开始倒着数)",
]
ABC = "(alphabet|ABC|letters of the alphabet|English alphabet|English letters|whole alphabet|complete alphabet|26 letters|abc|abc's|letters|entire alphabet|latin alphabet)"
ALPHABET_ASK_EN = [
    "(say|recite|write|list|give me|tell me|show me|spell|type|print|sing|write down|can you (say|recite|write|list|sing|type)|could you (say|recite|write|list|type)|I want|I need|name|go through|please (say|recite|write|list)|read me|do|would you (say|write|recite)|let me hear|spell out|do you know|enumerate|repeat|display|speak) [(all|me)] (the|the|your|all) " + ABC + " [(from (a|A) to (z|Z)|in order|from (first|start|beginning) to (last|end|finish)|for me|from start to finish|out loud|completely)]",
    "(the|) " + ABC + " [(please|from A to Z|in order|in full)]",
    "(what (are|is) the|which are the|how goes the|how does the) " + ABC + " [(go|in order|again)]",
    "(A to Z|from A to Z|a-z|letters from A to Z|A, B, C and so on|ABC song|all letters in order)",
]
ALPHABET_ASK_ZH = [
    "(背|写|说|念|列|读|唱|背诵|写出|列出|说出|背一下|写一下|念一下|请背|请写|给我|能背|会背|你会背|默写|请背出|打出|能写出|数一数|展示|来一遍|请念|请列出|可以背|请说)[(一遍|一下|出|完整的|全部|整个|所有)](英文字母|字母表|字母|26 个字母|英语字母|ABC|26个英文字母|英文字母表|二十六个英文字母|二十六个字母|拉丁字母|abc|字母歌)[(吗|一遍|给我|给我听)]",
    "(英文字母|字母表|26 个字母|英语字母|英文字母表|二十六个英文字母|ABC|abc|26个字母)[(有哪些|怎么背|是什么|按顺序写|从 A 到 Z|从头到尾|全部写出来|都写出来|背一遍|来一遍|依次是什么|念一遍|从头背到尾|写出来|都有哪些|按顺序念)]",
    "(从 A 到 Z|从A到Z|A 到 Z 的字母|字母从 A 到 Z|A到Z)[(写一遍|念一遍|列出来|数一遍|背一遍)]",
    "(把|将)[(全部|所有|整个|26 个)](字母|英文字母|字母表|英语字母|ABC)(写出来|背一遍|念一遍|列一遍|说一遍|从头写到尾|背出来|依次写出|都背出来)",
]


def counting(rng: random.Random, language: str) -> tuple[str, str]:
    """Counting up or down, or the alphabet."""
    english = language == "en"
    roll = rng.random()
    if roll < 0.25:
        return pick(rng, ALPHABET_ASK_EN if english else ALPHABET_ASK_ZH), ", ".join(string.ascii_uppercase) if english else " ".join(string.ascii_uppercase)
    low = 1 if rng.random() < 0.4 else rng.randint(0, 20)
    high = low + rng.randint(2, 14 if rng.random() < 0.85 else 22)
    spell = (spell_en if english else spell_zh) if rng.random() < 0.15 else str
    if roll < 0.45:
        low = 1 if rng.random() < 0.7 else low
        asks = COUNT_DOWN_ASK_EN if english else COUNT_DOWN_ASK_ZH
        ask = pick(rng, asks, {"a": spell(high), "b": spell(low)})
        if not ask.rstrip("?。 ").endswith(spell(low)) and f"{spell(low)} " not in ask:
            low = 1  # no end named: down to one
            ask = pick(rng, asks[-1:] if not english else ["(countdown|count down|count backwards|start counting down|a countdown) from {a}"], {"a": spell(high)})
        return ask, ", ".join(str(n) for n in range(high, low - 1, -1))
    if roll < 0.65:
        low = 1
        ask = pick(rng, COUNT_FIRST_ASK_EN if english else COUNT_FIRST_ASK_ZH, {"b": spell(high)})
    else:
        ask = pick(rng, COUNT_ASK_EN if english else COUNT_ASK_ZH, {"a": spell(low), "b": spell(high)})
    return ask, ", ".join(str(n) for n in range(low, high + 1))


# ---- repeating ---------------------------------------------------------------------------------------------------

REPEAT_ASK_EN = [
    "[(please|now|can you|could you|would you|I want you to|I'd like you to|you should|just|kindly|try to|you must|go ahead and|let me hear you|I would like you to|your job:)] (repeat|say|echo|copy|write|type|speak|parrot|tell me|give back|give me back|reproduce|print|return|send back|read back|say back|write back|output) [(after me|this sentence|the following|this|the sentence|exactly|word for word|what comes next|these words|the words|the following sentence|back to me|once more|again|this back to me|the following exactly|the same thing|to me|exactly this|this text|what I say|what I write|this line|the phrase|literally)] [(exactly|word for word|once more|again|without changes|please|back|unchanged)]{colon}{text}",
    "[(please|now|can you|could you|would you)] (repeat|say|write|type|echo|copy|speak) {quoted} [(once more|again|back to me|please|word for word|for me|exactly|one more time)]",
    "{quoted} (- repeat that|, repeat|: say it again|, please repeat that|. Repeat it|, now you|- say that|. Say it again|. Now say the same|, echo that)",
    "(your turn|you say|now you say|say it|now repeat|repeat|echo|copy|after me|repeat after me|say after me|copy this|copy exactly|echo back|now you|say|write this again|write the same|the same words again|these words back|give me back|mirror|parrot|word for word|copy what follows|do as I do|dictation|speak after me){colon}{text}",
    "(I say|I write|when I say|if I write) {quoted}[,] (you (say|write|repeat) (it|the same|that|it back)|you repeat it|now you|and you|say it back)",
    "[(please|now|can you|could you|would you|just|kindly|try to|I'd like you to|I want you to|go and|you may)] (repeat|say|echo|copy|speak|read|write|tell|send|give|hand|throw|type|bounce|play|quote) (this|that|these|it|the following|my|the next|what follows|the) [(back|again|out|exactly|once|aloud)] [(words|sentence|line|text|phrase|message|thing|part)] [(to me|for me|as it is|as written|here|unchanged|letter by letter|with no changes)]{colon}{text}",
    "(here is|take|this is|consider|look at|read|next comes|I give you|listen to) (a|the|this|my|one) (line|sentence|phrase|text|saying) (to (repeat|copy|echo|say|give back)|for you to (repeat|copy|echo|say|write)|that you should (repeat|copy|say|echo)|you must (repeat|copy|say)){colon}{text}",
    "(copy|repeat|echo|write down|say|type) (what|everything|the words that|the text that|exactly what) (comes next|follows|I write|comes after the colon|I say now|stands here|I am writing)[, (word for word|exactly|unchanged|without changes|letter by letter)]{colon}{text}",
]
REPEAT_ASK_ZH = [
    "[(请|麻烦|能不能|可以|你|现在|请你|帮我|你能|你来|来)](重复|复述|跟我说|跟我念|照着说|照着写|再说一遍|念|说|写|抄|照抄|原样重复|原样写出|原样说出|学我说|跟着我说|跟我读|跟读|学说|复读|模仿|抄写|再写一遍|再念一遍|跟着念|跟着说|说一遍|念一遍|打出|输出|抄下|原样返回|原样还给我|一字不差地重复|一字不差地写出|还给我)[(一下|一遍|这句话|这几个字|下面的话|这句|下面这句话|下面的内容|以下内容|这些字|接下来的话|这段话|同样的话|后面的话|我的话|我说的话|后面的内容)]{colon}{text}",
    "[(请|麻烦|能不能|可以|请你|现在)](把|将){quoted}[(这句话|这几个字|这句|这些字|)](重复一遍|再说一遍|复述一下|念一遍|原样写出来|抄一遍|再写一次|说一遍|重复一下|还给我|原样还给我|再打一遍|再念一次|照抄一遍)",
    "(把|将)(这句话|这几个字|下面的话|这句|下面的内容|这些字|以下内容|后面的话|接下来的话)(重复一遍|再说一遍|念一遍|原样写出来|抄一遍|再写一次|说一遍|还给我|原样还给我|照抄|复述一遍|抄下来|一字不差地写下来|再打一次){colon}{text}",
    "(跟我说|重复|复述|照念|你说|现在你说|再说一次|学我|跟着说|跟我念|念|复读|请重复|照着念|原样重复|轮到你说|请跟我说|抄写|学舌|你来说|说|你也说|照样说|鹦鹉学舌|照着抄|一字不差|听写|只说这句话|只回这几个字){colon}{text}",
    "{quoted}[,](重复一遍|再说一次|你也说一遍|请复述|跟我说|念一遍|照着说一遍|你再说说|请原样重复|再来一遍)",
    "(我说|我写|如果我说|我念){quoted}[,](你也说|你重复|你跟着说|你照着说|你再说一遍|你念)",
]
SPELL_ASK = {"en": ["(spell|please spell|how do you spell|can you spell|letters of|spell out|spell the word|how is it spelled:) {word}"], "zh": ["(拼一下|怎么拼|拼写|请拼写|逐个字母拼出|一个字母一个字母地写)[单词] {word}"]}


def repeat(rng: random.Random, language: str) -> tuple[str, str]:
    """A sentence of random words that must come back exactly."""
    english = language == "en"
    if rng.random() < 0.08:
        word = words.word(rng, "en")
        return pick(rng, SPELL_ASK[language], {"word": word}), "-".join(word)
    text = words.sentence(rng, language)
    if english and rng.random() < 0.25:
        text = text[0].upper() + text[1:] + rng.choice(["", ".", "!"])
    quotes = rng.choice(['""', "''", "“”", "**"] if english else ["“”", '""', "「」", "《》"])
    colon = rng.choice([": ", ": ", ": ", " ", ":\n", ", ", " - ", ":"] if english else [":", ":", "：", "：", " ", ": ", "，", ",", ":\n"])
    quoted = quotes[0] + text + quotes[1]
    shown = text if rng.random() < 0.75 else quoted
    frame = pick(rng, REPEAT_ASK_EN if english else REPEAT_ASK_ZH, {"colon": "\x01", "text": "\x02", "quoted": "\x03"})
    frame = frame[0].upper() + frame[1:] if english and rng.random() < 0.6 else frame
    return frame.replace("\x01", colon).replace("\x02", shown).replace("\x03", quoted), text
