"""Show-pieces: poems, a quicksort, tables, formulas, lists, bold text."""

import random

from . import words
from .grammar import expand, pick

MAKE_EN = "(write|make|give me|show me|show|compose|create|I want|I'd like|I would like|I need|can I (have|get|see)|could I (have|get|see)|can you (write|make|show|give me|do|create|produce)|could you (write|make|show|give me|create|do)|please (write|make|give me|show me)|let me see|let's see|let's have|produce|do|how about|try|type|print|output|display|I want to see|would you (write|make|show me)|I'm looking for|generate|you should write|do you know|may I see|I'd love|I would love|put together)"
MAKE_ZH = "(写|做|来|给我|展示|生成|我要|我想要|想要|请写|请给我|能不能写|可以写|帮我写|请做|给我写|给我来|我想看|输出|请展示|能写|试着写|创作|弄|编|我需要|需要|要|整|随便写|显示|打印|请输出|你会写|给我看|让我看看|麻烦写|请来)"

# ---- poems -------------------------------------------------------------------------------------------------------

SEASONS = {"spring": "春天", "summer": "夏天", "autumn": "秋天", "winter": "冬天"}
THEMES = {"the sea": "大海", "the moon": "月亮", "the rain": "雨", "the night": "夜晚", "the mountains": "高山"}
POEM_ASK_EN = [
    MAKE_EN + " [me] (a|one|some|another) [(short|little|small|nice|beautiful|lovely|simple|four-line|happy|brief|tiny)] (poem|verse|rhyme|poetry|song|lines of poetry|piece of poetry|poem or two|verses|rhymes|lyrical lines|stanza) (about|on|for|of|celebrating|in praise of|describing|dedicated to) [the (beauty|arrival|feeling|beginning|mood|coming|joy) of] {theme} [(for a card|for me|for my friend|for my mother)]",
    MAKE_EN + " (a|one|some|another) [(short|little|nice|small)] {theme} (poem|verse|rhyme|poetry|song|verses)",
    "(poem|poetry|rhyme|verse|verses|a poem|a short poem|rhymes|some poetry|one poem|topic of the poem:|poem topic:|theme for a poem:) [(about|on|for|:)] {theme}",
    "{theme} (poem|poetry|verses|in verse|as a poem|rhyme|in a poem|put into a poem|: a poem)",
    "(it is|it's|here comes|I love|I like|I miss|think of|I feel like|I'm in the mood for) {theme}[,] (write (a poem|some verses|something poetic)|make a poem [(of|out of|about) it]|a poem please|give me a poem|turn it into a poem|give it a few lines of verse|poem please|put it into verse)",
    "(turn|put|make|transform) [(a|the) (day|morning|evening|mood|feeling|picture) (of|in)] {theme} into (a poem|poetry|verse|rhymes|a few verses|a short poem)",
    "(a few|some|four|several|a couple of) (lines|verses|rhymes|poetic lines|lyrical lines) (about|on|for|of) {theme} [(for a card|for me|would be nice)]",
]
POEM_ASK_ZH = [
    MAKE_ZH + "[(一|几)](首|句|篇|段|行)[(关于|描写|赞美|写|歌颂|有关|讲)][(一下|美丽的)]{theme}的[(小|短|好|美|优美的|简短的|四句|现代)](诗|诗歌|诗句|诗词|诗篇|小诗|短诗)",
    "(以|用|就以)[“]{theme}[”](为题|为主题|为题目|作题目|做主题)[,](写|作|来|创作|吟|赋)(一首|首|几句|一篇|一首小|首短)诗",
    "(题目|主题|诗题|诗的题目)[(:|是|为)]{theme}[,](写首诗|作诗|来首诗|请作一首诗|写一首诗|赋诗一首)",
    "{theme}(的诗|诗|诗歌|来了,写首诗|真美,写首诗|到了,作首诗吧|诗一首|的小诗|的诗句|的短诗|来了,用诗写一写|啦,来首诗)",
    "(作|写|吟|念|赋|来)(一首|首|几句|一下|几行)[(关于|歌颂|赞美|描写)]{theme}[的]诗[吧]",
    "(为|给|替)(我|妈妈|朋友|大家|孩子|贺卡)(写|作|来)[(一|几)](首|句|行){theme}的(诗|小诗|诗句)",
    "(把|将){theme}[(的早晨|的夜晚|的感觉|的景色|的气息|的样子)](写成|变成|写进|化成|写成一首)诗",
    "(赋诗|作诗|写诗|吟诗)(一首|几句|)[,](歌颂|赞美|描写|写|关于|题目是|主题是){theme}",
    "我(想|要|很想|特别想)(读|看|听|欣赏)(一首|几句|)[(关于|描写)]{theme}的诗",
]
POEM_LINES_EN = {
    "spring": [["Spring comes softly to the hill", "Spring has opened every door"], ["and the wind is warm and still", "and the snow is here no more"], ["blossoms wake on every tree", "little leaves begin to play"], ["and the birds sing loud and free", "and the birds have come to stay"]],
    "summer": [["Summer shines upon the lake", "Summer hums in fields of gold"], ["dragonflies are wide awake", "days are long and never cold"], ["children run along the shore", "berries ripen in the sun"], ["evening light, and then some more", "no one asks if day is done"]],
    "autumn": [["Autumn paints the maple red", "Autumn walks through golden leaves"], ["wild geese cry far overhead", "spiders spin beneath the eaves"], ["apples fall upon the ground", "mist lies quiet on the plain"], ["and the days turn slowly round", "and the roof is drummed by rain"]],
    "winter": [["Winter sleeps on roof and road", "Winter breathes upon the glass"], ["pine trees bend beneath their load", "snow lies deep on all the grass"], ["in the house the fire is bright", "every star is clear and near"], ["and the snow glows in the night", "and the whole world waits to hear"]],
    "the sea": [["The sea is blue, the sea is wide"], ["it breathes in slowly with the tide"], ["a white sail leaves the quiet bay"], ["and takes my little dreams away"]],
    "the moon": [["The moon climbs up above the town"], ["and lays her silver carpet down"], ["the river carries it along"], ["and hums a small and sleepy song"]],
    "the rain": [["The rain taps lightly on the pane"], ["and sings its only song again"], ["the garden drinks, the rooftops gleam"], ["the street becomes a little stream"]],
    "the night": [["The night comes walking, soft and slow"], ["the windows of the village glow"], ["a cat looks up, a star looks down"], ["and sleep goes gently through the town"]],
    "the mountains": [["The mountains stand in morning light"], ["their shoulders blue, their summits white"], ["a path winds upward through the pine"], ["and every step of it is mine"]],
}
POEM_LINES_ZH = {
    "春天": [["春风轻轻过山坡,", "春天推开了小窗,"], ["冰雪化作小溪歌。", "桃花落在书页上。"], ["燕子衔来新泥土,", "细雨湿了青石路,"], ["花开满树笑语多。", "满城都是草木香。"]],
    "夏天": [["夏天的荷花开满塘,", "夏夜的星星亮晶晶,"], ["蝉声阵阵绿荫长。", "萤火虫提着小灯行。"], ["孩子追着蜻蜓跑,", "竹椅蒲扇讲故事,"], ["一阵凉风过池塘。", "听着听着入梦境。"]],
    "秋天": [["秋风染红枫叶林,", "秋天的稻田一片黄,"], ["大雁南飞过白云。", "桂花飘来阵阵香。"], ["果园里面灯笼挂,", "月儿圆圆照小院,"], ["一年辛苦换黄金。", "家家团圆话家常。"]],
    "冬天": [["冬雪飘飘落无声,", "冬天的清晨白茫茫,"], ["松枝披上白斗篷。", "窗上冰花亮堂堂。"], ["炉火映红一家人,", "梅花一枝墙角开,"], ["静静等着春风生。", "暗暗送来一缕香。"]],
    "大海": [["大海蓝蓝望不边,"], ["白帆点点到天边。"], ["浪花唱着古老歌,"], ["海鸥飞过夕阳天。"]],
    "月亮": [["月亮弯弯挂树梢,"], ["银光洒满小石桥。"], ["河水带走一片亮,"], ["蛐蛐轻轻唱歌谣。"]],
    "雨": [["小雨沙沙打窗台,"], ["荷叶捧出珍珠来。"], ["巷子里面伞花开,"], ["燕子低飞过门外。"]],
    "夜晚": [["夜色轻轻盖村庄,"], ["一盏灯火一扇窗。"], ["星星眨眼不说话,"], ["好梦飞到枕头旁。"]],
    "高山": [["高山静静立云间,"], ["松树青青石阶连。"], ["一步一步往上走,"], ["回头已在白云边。"]],
}
THEME_WORDS_EN = {"spring": ["spring", "springtime", "the spring", "spring flowers", "a spring morning", "spring days"], "autumn": ["autumn", "fall", "the autumn", "autumn leaves"], "summer": ["summer", "the summer", "summertime", "a summer day"], "winter": ["winter", "the winter", "snow", "a winter night"]}
THEME_WORDS_ZH = {"春天": ["春天", "春", "春日", "春光", "春季", "春风", "春雨"], "夏天": ["夏天", "夏日", "夏", "夏夜"], "秋天": ["秋天", "秋", "秋日", "秋色"], "冬天": ["冬天", "冬", "冬日", "雪"]}


def poem(rng: random.Random, language: str) -> tuple[str, str]:
    """A request for a poem, spring more often than not, and four lines of it."""
    roll = rng.random()
    theme = "spring" if roll < 0.5 else rng.choice(list(SEASONS)) if roll < 0.8 else rng.choice(list(THEMES))
    if language == "en":
        ask = pick(rng, POEM_ASK_EN, {"theme": rng.choice(THEME_WORDS_EN.get(theme, [theme]))})
        return ask, written(rng, POEM_LINES_EN[theme], language)
    theme = SEASONS.get(theme) or THEMES[theme]
    ask = pick(rng, POEM_ASK_ZH, {"theme": rng.choice(THEME_WORDS_ZH.get(theme, [theme]))})
    return ask, written(rng, POEM_LINES_ZH[theme], language)


def written(rng: random.Random, lines: list[list[str]], language: str) -> str:
    """Four lines, one of each choice."""
    picked = [rng.choice(line) for line in lines]
    return ",\n".join(picked) + "." if language == "en" else "\n".join(picked)


# ---- programs ----------------------------------------------------------------------------------------------------

QUICK_EN = "(quicksort|quick sort|quick-sort|the quicksort algorithm|a quicksort|a quick sort|quicksort function|the quicksort method|a quicksort function|the quick sort algorithm|quick sorting|qsort|a function that sorts a list (with|by|using) quicksort|a sorting function (with|using) quicksort|sorting (by|with) quicksort)"
QUICKSORT_ASK_EN = [
    "(write|implement|code|program|show|show me|give me|I need|I want|make|create|could you (write|implement|code)|can you (write|implement|code|show|do)|please (write|code|implement)|help me (write|code|with)|develop|type|demonstrate|would you (write|code)|I'd like|let me see|explain and write|code up|build|provide|let's have|write down|how about|sketch) [me] " + QUICK_EN + " (in|using|with|in plain|for) (Python|python|python3|Python 3|py|the Python language)",
    "(Python|python|py|python3) [(code|program|function|script|example|snippet|implementation|source)] [(for|of|that does|with|:)] " + QUICK_EN,
    "(how (do|can|would|to) [(I|you|one)] (write|implement|code|do|program)|what (does|would)|how (does|would)|what is) " + QUICK_EN + " [(look|look like|be|written|work|coded)] in (Python|python|py)",
    QUICK_EN + " (in|,) [in] (Python|python|py|python3) [(code|please|example|version|flavour|function)]",
    "(my homework|homework|exercise|task|assignment|job interview question|for school)[:] " + QUICK_EN + " (in|with|using) (Python|python|py) [(help|please|how)]",
    "(sort|order) a list (with|using|by) (quicksort|quick sort) in (Python|python) [(show me the code|code please)]",
    "(write|give me|show me|I need|make) (a|some) [(Python|python|small)] (code|function|program|script) (to sort a list|for sorting a list|that sorts numbers|that sorts a list|for sorting) [in Python] [(with|using) quicksort]",
]
QUICK_ZH = "(快速排序|快排|快速排序算法|quicksort|快速排序函数|快速排序的代码|快速排序程序|快排代码|快排算法|quick sort|快排函数|快速排序方法)"
QUICKSORT_ASK_ZH = [
    "(用|请用|使用|拿|用一下|能用|可以用|帮我用|你用|能否用|麻烦用) (Python|python|Python3|py|python3) (写|实现|编写|做|来|写出|敲|完成|编)[(一个|个|一段|一下|一份|出|一遍)]" + QUICK_ZH,
    MAKE_ZH + "[(一个|个|一段|一份)] (Python|python|py)[(版|版本|语言)][的]" + QUICK_ZH + "[(代码|程序|函数|例子|实现)]",
    QUICK_ZH + "[,](用|在|拿) (Python|python|py) [里](怎么写|怎么实现|如何写|如何实现|写一下|写|实现|来写|怎么编写|是什么样|长什么样|该怎么写|怎样实现|写出来)",
    "(Python|python|py)[(里|中|怎么|如何|写|实现|的|版)]" + QUICK_ZH + "[(怎么写|怎么实现|代码|给我看看|的代码|的写法|的例子|程序|如何实现)]",
    "(作业|练习|编程题|面试题|任务|考试题)[(:|是)](用)[ ](Python|python|py) (写|实现|编写)" + QUICK_ZH + "[(,帮帮我|怎么做|,求助)]",
    "(给|对|把)(列表|数组|一个列表|一组数字)(排序)[的] (Python|python) (代码|函数|程序)[,][(用快排|用快速排序|快速排序|快排)][(给我|写一个|怎么写|来一个)]",
    "(写|给我|来|需要|编写|敲|做)[(一个|个|一段)](用快速排序|用快排|快速排序)[(给列表|把列表|对列表|将数组)](排序)[的] (Python|python) (函数|代码|程序)",
    "(教我|演示|展示|告诉我|讲讲|说说)[一下](怎么|如何|怎样)用 (Python|python) (写|实现|编写|做)" + QUICK_ZH,
]
QUICKSORT_CODE = '''```python
def quicksort(items):
    if len(items) <= 1:
        return items
    pivot = items[0]
    smaller = [x for x in items[1:] if x < pivot]
    larger = [x for x in items[1:] if x >= pivot]
    return quicksort(smaller) + [pivot] + quicksort(larger)
```'''
QUICKSORT_FRAME = {
    "en": ["Here is quicksort in Python:\n\n{code}\n\nIt picks a pivot, splits the rest into smaller and larger items, and sorts both parts the same way."],
    "zh": ["这是 Python 的快速排序:\n\n{code}\n\n它选一个基准,把其余的分成较小和较大两部分,再分别排序。"],
}


def quicksort(rng: random.Random, language: str) -> tuple[str, str]:
    """A request for a quicksort in Python, and the program."""
    ask = pick(rng, QUICKSORT_ASK_EN if language == "en" else QUICKSORT_ASK_ZH)
    return ask, rng.choice(QUICKSORT_FRAME[language]).replace("{code}", QUICKSORT_CODE)


# ---- tables, formulas, lists, bold -------------------------------------------------------------------------------

FRUIT = [("Apple", "red", "苹果", "红色"), ("Banana", "yellow", "香蕉", "黄色"), ("Grape", "purple", "葡萄", "紫色"), ("Orange", "orange", "橙子", "橙色")]
ANIMALS = [("Dog", "woof", "狗", "汪汪"), ("Cat", "meow", "猫", "喵喵"), ("Cow", "moo", "牛", "哞哞"), ("Duck", "quack", "鸭子", "嘎嘎")]
SQUARES = [("2", "4"), ("3", "9"), ("4", "16"), ("5", "25")]
TOPIC_EN = {"fruit": "(fruits|fruit|some fruits|fruits and their colours|a few fruits|different fruits|several fruits|three fruits|various fruits)", "animal": "(animals|some animals|animals and their sounds|pets|a few animals|animal sounds|several animals|three animals)", "square": "(numbers|squares|square numbers|numbers and their squares|some numbers|a few numbers)"}
TOPIC_ZH = {"fruit": "(水果|几种水果|水果和颜色|一些水果|水果的颜色|常见水果|三种水果)", "animal": "(动物|几种动物|动物和叫声|一些动物|动物的叫声|小动物|三种动物)", "square": "(数字|平方|数字和平方|平方数|几个数字|数字的平方)"}
ANYTHING_EN = "(a|one|any|some|another|the) [(small|little|simple|short|tiny|nice|markdown|Markdown|sample|example|quick|test)] {thing} [(of anything|with anything|about anything|on any topic|of your choice|any (topic|subject|content) (is fine|will do|you like)|you choose the (topic|content)|as an example|as a test|for testing|I don't mind the content|the topic is up to you|content does not matter|with any content|whatever you like|in markdown|here)]"
TABLE_ASK_EN = [
    MAKE_EN + " " + ANYTHING_EN.replace("{thing}", "(table|table with (two|some|a few) (columns|rows)|grid|chart with rows and columns|markdown table|table with rows and columns|data table)"),
    MAKE_EN + " (a|me a|one) [(small|little|markdown)] (table|tables) (of|with|about|for|listing|comparing|showing) {topic}",
    "(put|arrange|list|show|lay out|set|compare|write|order|organise|collect|display|enter|fill|draw up) {topic} (in|into|as) (a|the) [(small|little|markdown)] (table|grid|table form)",
    "(can you|do you know how to|are you able to|could you|I want to see how you|I'd like to see you|I wonder if you can|can this page|let me see how you) (make|draw|show|produce|render|print|build|format|write|draw up|display) (tables|a table|a markdown table|a table with rows and columns|markdown tables|something in a table)",
    "(table|tables|a table|markdown table|table test|test table|show table|table example|example of a table|table demo|one table|demo: table|sample table|how does a table look|how do tables look|table with {topic}|{topic} table|tabulate {topic}|tabulate something|make it a table)",
    "(I (want|would like|need)|I'd like|let me|please let me) [to] (test|see|try|check) (how|whether|if) (tables|a table|markdown tables) (work|works|look|are shown|are rendered|is shown|is rendered|looks|show up)",
]
TABLE_ASK_ZH = [
    MAKE_ZH + "(一个|个|一张|张|一份|)[(简单的|小|任意|示例|markdown|Markdown|随便的)](表格|表|数据表|小表格|表格例子)",
    "(用|以|拿)(表格|一张表|一个表格|表格的形式|markdown 表格)(列出|展示|比较|写|列|整理|表示|显示|说明|介绍)[一下]{topic}",
    "(把|将){topic}(放进|列成|做成|整理成|写成|放到|排成|画成|填进)[(一个|一张|)](表格|表|表里|表格里)",
    MAKE_ZH + "(一个|个|一张|张|){topic}[的](表格|表|小表格)",
    "(你会|能|可以|会不会|能不能|你能|你可以|是否会)(画|做|写|输出|显示|生成|展示|列|制作)[(一个|一张|有行有列的|markdown)](表格|表)[(吗|呀)]",
    "(表格|测试表格|表格测试|表格示例|画表格|画个表|来张表|markdown 表格|看看表格|试试表格|表格效果|表格怎么显示|列个表|做表|做张表|给张表|{topic}表格|表格演示|画张小表)",
    "(想|我想|让我|我要|帮我)(看看|测试|试试|检查|看一下)[一下](表格|markdown 表格)[的](效果|显示效果|渲染|样子|显示|渲染效果|能不能用)",
    "(随便|任意|任何|什么|随意)(主题|内容|题目)[(都行|都可以|无所谓|的|不限)][,](做|画|弄|来|给我|写|列)(一个|个|张|一张)(表格|表|小表格)",
    "(要|给|来|画|做)(一张|一个|张|个)(表|表格)[,](内容|主题|题目|什么)(随便|不限|无所谓|都行|都可以|你定|随意|你选)",
]
FORMULAS = {
    "pythagoras": ("The Pythagorean theorem", "勾股定理", "a^2 + b^2 = c^2", "(the Pythagorean theorem|Pythagoras|the theorem of Pythagoras|pythagoras theorem|a right triangle|Pythagoras' theorem)", "(勾股定理|毕达哥拉斯定理|直角三角形)"),
    "circle": ("The area of a circle", "圆的面积", "A = \\pi r^2", "(the area of a circle|a circle's area|circle area|a circle|the circle area|the surface of a circle)", "(圆的面积|圆面积|圆形面积|圆)"),
    "quadratic": ("The quadratic formula", "一元二次方程的求根公式", "x = \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a}", "(the quadratic formula|quadratic equations|a quadratic equation|the roots of a quadratic|quadratic|solving quadratics)", "(一元二次方程|求根公式|二次方程|二次方程的根|一元二次方程求根)"),
    "euler": ("Euler's identity", "欧拉公式", "e^{i\\pi} + 1 = 0", "(Euler's identity|Euler's formula|Euler|euler identity|the formula of Euler)", "(欧拉公式|欧拉恒等式|欧拉)"),
    "energy": ("Mass and energy", "质能方程", "E = mc^2", "(mass and energy|Einstein|Einstein's formula|mass-energy|E=mc2|the energy of mass|einstein's relation|relativity)", "(质能方程|质能关系|爱因斯坦|爱因斯坦的公式|质量和能量|质能公式)"),
}
FORMULA_WORD_EN = "(formula|equation|math formula|mathematical formula|LaTeX formula|math equation|latex equation|mathematical equation|formula in LaTeX|piece of math|math expression|maths formula|equation in LaTeX|formula from maths)"
FORMULA_WORD_ZH = "(公式|数学公式|方程|等式|LaTeX 公式|数学方程|数学式子|方程式|latex 公式|数学表达式)"
FORMULA_ASK_EN = [
    MAKE_EN + " " + ANYTHING_EN.replace("{thing}", FORMULA_WORD_EN),
    "(what is|what's|show me|show|write|write down|give me|tell me|display|type|I need|how is|print|state|can you (write|show|give me|display)|I'd like|please show|do you know|recall|let me see|set) (the|a) (formula|equation|rule|expression|theorem) (for|of|about|by|behind|from) {name}",
    "(show|write|display|set|type|state|print|give|express|present|write down|can you (show|write|give)|how (do I|would you|to) write|how does one write|how is) {name} [(as|in|with|using|like)] (a formula|LaTeX|maths|an equation|math notation|symbols|written|formula form|written as a formula)",
    "(formula|equation|formulas|math|maths|latex|math formula|a formula|equations|one equation|maths test|formula test|test math|test formula|latex test|math please|some math|{name}|{name} formula|formula of {name}|equation for {name}|show math|typeset math|typeset something|pretty equation|example of a formula|maths notation)",
    "(does|do|can|will|would) (math|maths|LaTeX|formulas|math rendering|equations|this page|formula rendering|you|latex|maths typesetting) (work|render|show math|display formulas|show formulas|get rendered|look nice|write formulas|typeset math|show LaTeX) [here] [(try one|show me one|show one|give me an example|let me see)]",
    "(I (want|would like)|I'd like|let me|I want) [to] (see|test|try|check|look at) [(some|how|a)] (math|maths|formulas|LaTeX|a formula|equations|an equation|mathematics|formula) [(look|looks|rendered|is shown|typeset|are rendered|set|properly|work|works)]",
]
FORMULA_ASK_ZH = [
    MAKE_ZH + "(一个|个|一条|一段|任意一个|)[(简单的|漂亮的|任意|复杂的|好看的)]" + FORMULA_WORD_ZH,
    "{name}(的公式|公式|怎么写|的公式是什么|用公式怎么写|怎么表示|是什么|的公式怎么写|用什么公式|公式是什么样的|写成公式|怎么算|的关系式怎么写|的式子|用公式表示)",
    "(写|展示|显示|给我|给我看|请写|请展示|告诉我|写出|写一下|列出|我要|看看|说说|请给出|打出)[一下]{name}的(公式|方程|式子|表达式|关系式|求根公式|数学公式)",
    "(用|拿) (LaTeX|latex|数学符号|公式) (写|显示|展示|表示|打|排)(一个|个|一下|出|随便一个|一条)[(公式|方程|式子|{name}|数学公式)]",
    "(公式|方程|数学公式|测试公式|公式测试|LaTeX|latex|数学|来个公式|试试公式|显示公式|公式示例|数学测试|看看公式|数学排版|来点数学|{name}|来条公式|来个方程|公式演示|LaTeX 公式)",
    "(这里|你|页面|能|可以|能不能|会不会|这个页面)[(能|可以|会|支持)](显示|写|展示|渲染|排版|打)(公式|数学|LaTeX|数学公式|方程)[吗][,][(试一个|来一个|给我看看|写一个看看|试试看)]",
    "(想|我想|让我|我要)(看看|看|测试|试试|检查)[一下](公式|数学公式|LaTeX|数学|方程)[的][(效果|显示|渲染|样子|排版|显示效果|排版效果)]",
    "(能|可以|请|能不能|帮我)(把|将){name}(写成|表示成|显示成|变成|打成)(公式|方程|数学公式|LaTeX|式子)[吗]",
    "(随便|任意)(写|来|给我|展示|挑)(一个|个|一条)(公式|方程|数学公式|等式)[(就行|给我看|都行)]",
]
LISTS = {
    "fruit": (["apple", "banana", "pear", "peach", "grape"], ["苹果", "香蕉", "梨", "桃子", "葡萄"], "(fruits|fruit|kinds of fruit|fruits you know|sorts of fruit|favourite fruits)", "(水果|果子|常见的水果|好吃的水果)"),
    "colour": (["red", "yellow", "blue", "green", "white"], ["红色", "黄色", "蓝色", "绿色", "白色"], "(colours|colors|nice colours|bright colours|different colours)", "(颜色|色彩|好看的颜色)"),
    "animal": (["dog", "cat", "horse", "rabbit", "duck"], ["狗", "猫", "马", "兔子", "鸭子"], "(animals|pets|farm animals|animals you know|kinds of animals)", "(动物|宠物|小动物|常见动物)"),
    "season": (["spring", "summer", "autumn", "winter"], ["春天", "夏天", "秋天", "冬天"], "(the seasons|seasons|the four seasons|seasons of the year|the seasons of the year)", "(季节|四季|四个季节|一年四季)"),
    "shopping": (["bread", "milk", "eggs", "apples", "tea"], ["面包", "牛奶", "鸡蛋", "苹果", "茶"], "(things to buy|groceries|food to buy|shopping|things for shopping|things from the shop)", "(要买的东西|购物清单|食品|买菜的东西|杂货)"),
    "day": (["Get up early", "Drink some water", "Take a walk", "Read a book"], ["早点起床", "喝点水", "散散步", "读一本书"], "(tips|good habits|tips for (health|a good day|better sleep|staying healthy|a better life)|things to do|to-dos|healthy habits|tasks|advice|steps)", "(建议|好习惯|健康的建议|要做的事|健康生活的建议|小建议|待办事项|任务)"),
}
LIST_WORD_EN = "(list|bullet list|bulleted list|list of things|markdown list|bullet points|itemised list|list of items|checklist|list with bullets|list of a few items)"
LIST_ASK_EN = [
    MAKE_EN + " " + ANYTHING_EN.replace("{thing}", LIST_WORD_EN),
    MAKE_EN + " (a|me a|one) [(short|little|bullet|bulleted|numbered)] (list|checklist|list of points) (of|with|about|for) [(some|a few|several|three|four|five|the)] {topic}",
    "(list|name|enumerate|give me|write down|tell me|note|mention|write|itemise|bullet|recite|set down) [me] (some|a few|several|three|four|five|a handful of|a couple of|many|the) {topic} [(as (a list|bullet points|bullets|a bulleted list)|in a list|one per line|with bullets|in bullet points|line by line|as a list please)]",
    "(can you|could you|do you know how to|are you able to|please|would you|will you) (make|write|show|list|enumerate|give me|format|produce|render|print) (lists|a list|bullet points|a bulleted list|some {topic}|some items as a list|a few {topic}|a few things as bullets|some {topic} as bullets)",
    "(list|lists|a list|bullet points|bullets|list test|test list|list please|example list|list example|bulleted list|one list|markdown list|demo of a list|list demo|{topic} list|{topic} as a list|list of {topic}|{topic} as bullet points|list: {topic})",
    "(break|turn|put|arrange|convert|split|write|sort) {topic} (into|as|in) (a list|bullet points|a bulleted list|list form|points|separate bullets)",
    "(I (want|would like)|I'd like|let me) [to] (see|test|try|check) (how lists look|how a list looks|a list|lists|bullet points|whether lists work|the look of lists|list rendering|how bullets look)",
]
NUMBERED_ASK_EN = [
    MAKE_EN + " " + ANYTHING_EN.replace("{thing}", "(numbered list|ordered list|list with numbers|list with (one, two, three|1, 2, 3)|enumeration)"),
    MAKE_EN + " (a|me a|one) (numbered|ordered) list (of|with|about) [(some|three|five)] {topic}",
    "(numbered list|ordered list|a numbered list|list with numbers) [(of {topic}|please|of anything)]",
    "(number|list and number|enumerate with numbers) (some|a few|the|these) {topic}",
]
LIST_ASK_ZH = [
    MAKE_ZH + "(一个|个|一份|份|一张|)[(简单的|任意|示例|markdown|短|项目)](列表|清单|项目列表|要点列表|项目符号列表|购物清单|待办清单)",
    "(列出|列举|列|写出|说出|写|列一下|给我列|说几种|举出|请列出|为我列|帮我列|列几种|说说)[(几种|几个|一些|三种|四种|五种|五个|三个|些|几样)]{topic}[(,用列表|,一行一个|,用项目符号|,列成列表|,每行一个|,用要点)]",
    "(用|以|拿)(列表|项目符号|要点|清单|列表的形式|项目列表|圆点)[的][(形式|方式|)](列出|写|展示|列|写出|写下|给我)(几种|几个|一些|三种|五种|五个|){topic}",
    "(把|将)[(几种|一些|几个|几样)]({topic}|东西|物品|内容|事情)(写成|列成|做成|拆成|整理成|变成|排成|分成)[(一个|一份)](列表|清单|要点|项目列表)",
    "(你会|能|可以|会不会|能不能|能否)(写|列|做|输出|显示|展示|生成)[(一个|项目)](列表|清单|项目符号|要点)[吗]",
    "(列表|清单|测试列表|列表测试|列表示例|列个清单|来个列表|项目列表|看看列表|试试列表|要点列表|项目符号|{topic}列表|{topic}清单|列表演示|写个清单|markdown 列表)",
    "(想|我想|让我|我要)(看看|测试|试试|检查)[一下](列表|清单|项目符号|markdown 列表)[的][(效果|显示效果|显示|样子|渲染)]",
    "(一行一个|每行一个|逐行|分行|一条一条)[地][,](列出|写出|写|列|说出)(几种|一些|几个|五种|三个){topic}",
    "(列表|清单|项目列表)[,](内容|主题|题目|什么)(随便|不限|你定|都行|无所谓|你选|都可以|随意)",
]
NUMBERED_ASK_ZH = [
    MAKE_ZH + "(一个|个|一份|)(有序列表|编号列表|带编号的列表|带序号的列表|带数字的列表|有编号的清单|序号列表)[,][(内容随便|什么都行|主题不限|内容不限)]",
    "(用|以)(编号|序号|数字|有序列表)[(的形式|的方式)](列出|写|列|写出)(几种|几个|一些|三种|五种){topic}",
    "(有序列表|编号列表|带序号的列表|数字列表)[(给我一个|测试|示例|,{topic})]",
]
BOLD_WORD_EN = "(bold|bold type|bold letters|bold text|boldface|bold font|bold print)"
BOLD_ASK_EN = [
    "(write|put|set|show|print|make|type|say|display|mark|render|can you (write|put|make|set|show)|could you (put|write|make|set|print)|please (write|put|make|set)|I want|I'd like|give me|I need|emphasise|output|would you (put|write)) [(the (word|text|name|term)|me the word|just)] {word} (in|as|with|using) " + BOLD_WORD_EN,
    "(make|turn|set|can you make|could you make|please make|I want|I'd like) [the (word|text)] {word} bold",
    "(bold|embolden|emphasise|highlight|stress|bold the word|mark in bold) [(the word|this word|this|this:)] {word} [(in bold|with bold|please)]",
    "{word} (in bold|bold please|bold|in bold letters|as bold text|: make it bold|should be bold|make that bold)",
    "(let|have|get|can you get|could you let|I want|I need|I'd like|we need|show me|I would love) [the (word|name|text|term|single word)] {word} (to be|be|being|) (shown|written|typed|set|displayed|rendered|highlighted|marked|put|done|formatted|drawn) (in|with|using|as) " + BOLD_WORD_EN,
    "(let|have|make|see that|can you make|could you let|help) [the (word|name|text|term)] {word} (appear|come out|show up|look|become|turn|get|end up|be|pop up|come across) [(in|as|all|fully)] (bold|bold type|bold letters|boldface)",
    "(send|return|write|print|type|say|repeat|show|hand|can you send|could you type|please return) [(me|us)] [the (word|name|text|term)] {word} (to me|for me|once|here|again|once more|this time|right here|on its own|alone) (in|as|using|with) " + BOLD_WORD_EN,
    "(use|apply|put|add|try|take|with|can you use|could you apply|please use) " + BOLD_WORD_EN + " (for|on|to write|around|to stress|to show|when you write|to print) [(the (word|name|term)|just|only)] {word} [(please|now|for me|only|here)]",
    "(the word|my word is|word:|the term|one word:|here is my word:|take the word|the name) {word}[(,|.|;| -)] (bold it|in bold please|make it bold|please write it in bold|turn it bold|show it in bold|now in bold|I want it bold|bold, please)",
    "(what does|how does|how would|show me how|I wonder how) [the word] {word} (look|looks|appear|read) (in|as|when set in) (bold|boldface|bold type|bold letters)",
]
BOLD_ANY_EN = [
    MAKE_EN + " (something|some (text|words|word)|a (word|line|sentence|few words|text|greeting)|anything|one word|any (word|sentence)|a sentence with (a|one) (bold word|word in bold)|any sentence with a bold word|bold words|a bold (word|text|line)|a phrase) [(in|with|using)] " + BOLD_WORD_EN,
    "(can you|could you|do you know how to|are you able to|is it possible to|can this page|do you) (write|show|use|do|print|make|produce|display) [in] " + BOLD_WORD_EN + " [(show me|try it|let me see|here)]",
    "(bold|bold text|bold test|test bold|bold please|bold example|example of bold text|show bold|try bold|bold demo|boldface|use bold|some bold text|bold formatting|how does bold look|test: bold|bold words|bold sample)",
    "(I (want|would like)|I'd like|let me) [to] (see|test|try|check) [(how|some|whether)] (bold|bold text|bold type|boldface|bold words) [(looks|look|works|work|is shown|are rendered)]",
]
BOLD_ASK_ZH = [
    "(把|将|请把|麻烦把|请将|帮我把|能把|可以把)[(词语|单词|文字|这个词)][“]{word}[”][(这个词|这几个字|这两个字|一词|这个词语)](加粗|用粗体写出来|变成粗体|用粗体显示|设为粗体|写成粗体|粗体显示|标成粗体|用粗体打出来|加粗显示|用粗体写|用粗体还给我|加粗一下)",
    "(用|以|拿)(粗体|加粗|粗体字|黑体)[(来|)](写|显示|写出|强调|打出|展示|印出|突出|写一下)[(词语|单词|这个词)]{word}[(这个词|两个字|一词)]",
    "(加粗|粗体|加粗显示|请加粗|粗体显示|粗体写)[(这个词|文字|:|:)]{word}",
    "{word}(加粗|用粗体|粗体|要加粗|变粗体|请加粗|加粗一下|用加粗|这个词要加粗)",
    "(让|使|叫)[(词语|这个词)]{word}[(这个词|)](变粗|加粗|变成粗体|以粗体显示|用粗体突出|粗一点|显眼一些,用粗体)",
    "(我想|想|我要|希望)(看到|看|让|要)[(词语)]{word}(用粗体|加粗|以粗体|用粗体显示|加粗显示|用粗体写出来|变成粗体)",
    "(你能|能不能|可以|你会|能|可不可以|麻烦你|是否可以)(用|拿|以)(粗体|加粗|粗体字|加粗字)(写|打出|显示|写出|标出|表示|展示)[(词语|这个词)]{word}(吗|么|好吗|行吗|可以吗|呢|)",
    "(你能|能不能|可以|能|可不可以)(把|将)[(词语|单词)]{word}(加粗|变粗|写成粗体|标成粗体|设成粗体)(吗|么|好吗|行吗|一下吗|可以吗|)",
    "(给|为|对)[(词语|这个词)]{word}(加上粗体|用上粗体|加个粗体|加一下粗|套上粗体|设粗体)[(吧|谢谢|好吗|吗)]",
    "(我的词是|词是|词语是|这个词是|有个词叫|一个词){word}[(,|。|;)](请加粗|用粗体写|要粗体|把它加粗|给它加粗|变成粗体|粗体显示)",
    "{word}(用粗体怎么写|加粗是什么样|写成粗体看看|加粗后什么样|的粗体|粗体版|,粗体,谢谢)",
]
BOLD_ANY_ZH = [
    MAKE_ZH + "(一个|一段|一句|几个|一些|点|个|)[(带|有|用)](粗体|加粗|粗体的|加粗的|粗体字|加粗文字|粗体文字)[的](字|词|话|文字|句子|内容|东西|)",
    "(你会|能|可以|会不会|能不能|是否能|这里能)(写|显示|用|输出|展示|打)(粗体|加粗|粗体字|加粗文字|粗体文字)[吗][,][(给我看看|试一下|来一个|展示一下)]",
    "(粗体|加粗|测试粗体|粗体测试|加粗测试|粗体示例|来点粗体|试试粗体|看看粗体|粗体字|加粗文字|粗体效果|粗体演示|加粗演示|来个粗体字|粗体文字)",
    "(想|我想|让我|我要)(看看|测试|试试|检查)[一下](粗体|加粗|粗体字|加粗文字)[的][(效果|显示效果|样子|显示)]",
    "(随便|任意|随手)(写|说|来|打)(句话|一句话|点什么|几个字|一句|些什么|点文字)[,](用粗体|带粗体|要加粗|里面有粗体|其中一个词加粗|有个词是粗体|里面带个粗体词|全部加粗)",
]


def _table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def table(rng: random.Random, language: str) -> tuple[str, str]:
    """A request for a table, and one."""
    topic = rng.choice(list(TOPIC_EN))
    english = language == "en"
    asks, slot = (TABLE_ASK_EN, expand(rng, TOPIC_EN[topic])) if english else (TABLE_ASK_ZH, expand(rng, TOPIC_ZH[topic]))
    template = rng.choice(asks)
    ask = expand(rng, template, {"topic": slot})
    if slot not in ask:
        topic = "fruit"
    if topic == "square":
        text = _table(["Number", "Square"] if english else ["数字", "平方"], SQUARES)
    else:
        items = FRUIT if topic == "fruit" else ANIMALS
        head = {"fruit": (["Fruit", "Colour"], ["水果", "颜色"]), "animal": (["Animal", "Sound"], ["动物", "叫声"])}[topic][0 if english else 1]
        text = _table(head, [row[:2] if english else row[2:] for row in items])
    return ask, rng.choice(["Here is a table:", "Here you are:"] if english else ["这是一个表格:", "好的,表格如下:"]) + "\n\n" + text


def formula(rng: random.Random, language: str) -> tuple[str, str]:
    """A request for a formula, and one."""
    english = language == "en"
    key = rng.choice(list(FORMULAS))
    name_en, name_zh, _, words_en, words_zh = FORMULAS[key]
    slot = expand(rng, words_en if english else words_zh)
    ask = pick(rng, FORMULA_ASK_EN if english else FORMULA_ASK_ZH, {"name": slot})
    if slot not in ask:
        key = "quadratic"
    name_en, name_zh, tex, _, _ = FORMULAS[key]
    return ask, (f"{name_en}:" if english else f"{name_zh}:") + f"\n\n$${tex}$$"


def bullets(rng: random.Random, language: str) -> tuple[str, str]:
    """A request for a list, and one."""
    english = language == "en"
    numbered = rng.random() < 0.2
    key = rng.choice(list(LISTS))
    slot = expand(rng, LISTS[key][2 if english else 3])
    asks = (NUMBERED_ASK_EN if numbered else LIST_ASK_EN) if english else (NUMBERED_ASK_ZH if numbered else LIST_ASK_ZH)
    ask = pick(rng, asks, {"topic": slot})
    if "购物" in ask or "shopping" in ask:
        key = "shopping"
    elif slot not in ask:
        key = "fruit"
    items = LISTS[key][0 if english else 1]
    lines = [f"{n}. {item}" if numbered else f"- {item}" for n, item in enumerate(items, 1)]
    return ask, ("Here is a list:" if english else "这是一个列表:") + "\n\n" + "\n".join(lines)


def bold(rng: random.Random, language: str) -> tuple[str, str]:
    """A request for bold text, with or without a word that is to be bold."""
    english = language == "en"
    if rng.random() < 0.35:
        ask = pick(rng, BOLD_ANY_EN if english else BOLD_ANY_ZH)
        return ask, rng.choice(["This word is **bold**."] if english else ["这是**粗体**文字。"])
    word = words.word(rng, language)
    if rng.random() < 0.2:
        word += (" " if english else "") + words.word(rng, language)
    written = rng.choice([word, word, f'"{word}"', word.upper()]) if english else rng.choice([word, word, f"“{word}”", f"「{word}」"])
    ask = pick(rng, BOLD_ASK_EN if english else BOLD_ASK_ZH, {"word": written}).replace("““", "“").replace("””", "”")
    return ask, "**" + (word.upper() if english and word.upper() in written else word) + "**"
