"""Questions about everything else, all answered with "I don't know".

Thousands of topics (nouns, pairs of nouns, invented names) in many frames, so that the answer is learnt and not the topics.
"""

import random

from . import words
from .grammar import pick

ASK_EN = [
    "(what|who) (is|was|are|were) [(a|the|an)] {t}", "(what is|what's|tell me|give me|do you know|I'd like to know) the (capital|population|history|meaning|price|weight|height|length|colour|origin|area|currency|language|age|name|cause|purpose|definition|boiling point|melting point|temperature|president|leader|flag|religion|size|speed|chemical symbol|main export|plot|author|largest city|square root|density|symptoms|best kind) of [(a|the)] {t}",
    "(who|which person|which country|what company|which scientist) (invented|discovered|painted|wrote|built|founded|designed|composed|conquered|created|killed|directed|sang|owns|rules|led) [(the|a)] {t}", "(when|in which year|what year|where) (did|was|is|were|does|will) [(the|a)] {t} (invented|built|sink|happen|born|start|end|die|founded|discovered|held|begin|come from|made|found|grow|appear|take place|destroyed|written)",
    "(how|why) (do|does|did|can|are|is) [(the|a)] {t} (work|purr|fly|grow|sleep|sing|form|exist|matter|move|burn|float|live|reproduce|change colour|die|smell|fall|work inside|function|rust|happen|glow|sting|blue|red|cold|hot|expensive|important|so big|round|dangerous|popular)",
    "(explain|describe|define|summarise|discuss|analyse|tell me about|talk about|teach me|tell me something about|give me an overview of|write an essay about|I want to learn about|I'd like to understand|what do you know about|introduce me to|write a report on|I need information about|can you explain|could you tell me about|what can you tell me about|do you know anything about) [(the (history|theory|rules|basics|idea|meaning|causes|life|structure|culture) of)] [(a|the)] {t} [(to (a beginner|a child|me)|in simple words|in detail|briefly|please|to my daughter)]",
    "(how (do|can|should|would) I|how to|help me|teach me to|what's the best way to|show me how to|steps to|tips to|advice on how to|can you help me) (cook|bake|build|fix|repair|clean|tie|grow|write|draw|choose|find|make|learn|open|cure|treat|knit|feed|train|sell|buy|catch|prepare|remove|wash|paint|install|plant|fold|solve|improve) (a|the|my|some) {t}",
    "(which|what) (medicine|pill|diet|herb|exercise|food|car|book|film|wine|brand|tool|language|school|phone|plant|cream|tea) (helps (against|with)|is (best|good|right) for|do you recommend for|should I (buy|take|use) for|cures|goes with|is used for) [(a|the|my)] {t}",
    "how (tall|big|long|far|old|fast|deep|heavy|expensive|many|much|rich|hot|cold|dangerous|high|wide|loud|strong) (is|are|was|can) [(a|the)] {t} [(get|be|from here|live|in metres)]", "how (many|much) {t2} (live|are|exist|grow|cost|fit|work) (in|on|with|inside|per) [(a|the)] {t}", "how long (do|does|did|will) [(a|the)] {t} (live|last|take|sleep|survive|exist|keep)",
    "(translate|how do you say|can you translate|what is|please translate|say) {t} (in|into|to) (French|German|Spanish|Japanese|Finnish|Latin|Russian|Italian|Korean|Arabic|Portuguese|Dutch|Greek|Swedish|Hindi|Turkish)",
    "(recommend|suggest|can you recommend|what is|do you know|I'm looking for|find me|name) [me] (a|a good|some|the best|an interesting) {t} [(novel|film|book|restaurant|song|hotel|game|course|movie|podcast|recipe)] [(in {T}|for tonight|to read|near me|for my son)]",
    "(is|are|was|were|do|does|did|can|will|could|would) [(a|the)] {t} (really|still|ever|always|) (dangerous|a planet|healthy|better than {t2}|older than {t2}|alive|eat {t2}|a vegetable|true|swim|fly|sleep|exist|poisonous|legal|important|an animal|bad for you|made of {t2}|used in {t2}|come back|like {t2}|good for {t2})",
    "(which|what) is (better|bigger|older|faster|cheaper|heavier|healthier|more important)[,] [(a|the)] {t} or [(a|the)] {t2}", "(compare|what is the difference between|what's the difference between|difference between|contrast|what do you think of) [(a|the)] {t} (and|with|or|versus) [(a|the)] {t2}",
    "(should|could|can|may|must|shall) (I|we|one|my son|a doctor) (invest in|buy|eat|sell|trust|study|take|wear|marry|visit|worry about|try|avoid|learn|keep) [(a|the|some|my)] {t} [(or {t2}|now|every day|with {t2}|as a beginner)]", "(what|who) (causes|caused|happens in|happened in|happened to|comes after|lives in|is behind|eats|produces|ended) [(a|the)] {t}",
    "what (happened|was important|began|changed|was invented) in (the year|) {y}", "who was (king|president|emperor|queen|pope|chancellor|prime minister|the first president|the first emperor|the first king|the leader) of {T} [in {y}]", "(where is|how far is|what language do they speak in|how many people live in|what is the capital of|tell me about|which continent is|who governs|what's the population of|how do I get to) {T}",
    "(write|draft|compose|help me write|I need|can you write) (me a|a|an|my|some) (cover letter|email|essay|speech|contract|business plan|report|resume|review|complaint|thesis|invitation|press release|advertisement|job application|love letter|summary|lesson plan|blog post|screenplay|law|song text|invoice) [(about|for|on|to) [(a|the)] {t}]",
    "(what|which) (are the (rules|parts|symptoms|ingredients|benefits|effects|types|steps|causes|advantages|risks|planets|colours|members|laws) of|would you do with|is inside|rhymes with|do you think about|is your opinion on|does it cost to repair|is the recipe for|happens when you heat|is the use of|is the plural of|does the word) [(a|the)] {t} [mean]",
    "what (does|do) [(the word|the term|the name)] {t} (mean|stand for|do|eat|look like|cost|contain|taste like|say|sound like|refer to)", "(what is|calculate|compute|how much is) {n} (times|multiplied by|divided by|to the power of|x|*|/) {n}", "(write|show me|give me|code) (a|an) {t} (program|function|script|app|game|server) in (Java|C++|Rust|JavaScript|Go|Haskell|PHP|assembly)",
    "(solve|prove|derive|integrate|differentiate|factor) [(the|this)] {t} [(equation|theorem|problem|function)]", "(give me|I need|do you have|share|any) (some|a few|) (tips|advice|ideas|help|information|facts|news|instructions|guidelines|tricks) (for|about|on|with) [(a|my|the)] {t} [(interview|wedding|exam|party|trip|lesson|garden|problem)]",
    "(my|the) {t} (is|hurts|does not work|is broken|won't start|smells|is too small|makes noise|is sick|looks strange|leaks|died)[,] (what (should|can) I do|can you help|why|how do I fix it|what is wrong|any idea)", "(I want|I'd like|I wish|I plan|I'm going) to (learn|study|know|understand|see|read about|discuss|talk about|visit|build|buy) [(the|a)] [(rules of|history of)] {t}", "(why|how come) (is|are|does|do|did) [(the|a|my)] {t} (blue|so expensive|always late|important|have stripes|need {t2}|hate {t2}|become {t2}|taste sweet|move|change|not fly|called {t2}|disappear|bark|purr|cry|melt)",
    "{t}", "{t} {t2}", "(about|regarding|information on|facts about|history of|meaning of|definition of|wiki|theory of|news about|price of|question about) {t}", "(is it true that|do you believe|did you know that|have you heard that|some say that|prove that) {t} (is|are|can|was) {t2}", "(can|could|do) you (drive|see|taste|feel|love|sing|swim|eat|dream of|smell|buy|order|book|call|repair|play|send me|draw|paint|design|hack|recommend) [(a|the|some|my|me a)] {t}", "(which|what|name the|tell me the) (animal|country|city|planet|metal|river|mountain|language|bird|tree|scientist|actor|team|king|ocean|element|book|film) (is|has|makes|lives|was) the (largest|smallest|fastest|oldest|best|first|longest|most famous|highest|heaviest) [(in {T}|of all|on earth|in the world)]",
]
ASK_ZH = [
    "{t}(是什么|是谁|是什么东西|是啥|是什么意思|是干什么的|是什么样的|是哪里的|到底是什么|是怎么回事|有什么用|为什么重要|叫什么|指的是什么)", "{T}(的首都在哪里|的首都是哪里|有多少人口|在哪里|的历史|有多大|说什么语言|的总统是谁|的第一个皇帝是谁|的国王是谁|怎么去|有什么好吃的|有什么好玩的|在哪个洲|的货币是什么|的面积多大|有哪些名胜|离这里多远|是哪一年建立的)",
    "(谁|哪个人|哪个国家|哪位科学家|哪家公司|什么人)(发明了|发现了|画了|写了|建造了|创立了|设计了|统一了|导演了|演唱了|最早发明了|最早发现了|拥有|打败了){t}", "{t}(是谁发明的|是谁写的|是谁画的|是谁发现的|是谁建的|是谁设计的|是谁创立的|是什么时候发明的|是哪年建成的|是哪一年开始的|是哪年沉的|什么时候结束的|什么时候出现的|诞生于哪一年|是哪个朝代的|是在哪里发现的|是哪国人)",
    "{t}(为什么会|为什么|怎么会|为何|怎么)(飞|发光|是蓝色的|叫|生长|睡觉|变色|燃烧|浮起来|这么贵|这么大|打呼噜|掉毛|融化|下沉|有毒|生锈|重要|是圆的|爆炸|消失|会响|会动|会痛|这么甜|是红的|冬眠|结冰)", "(为什么|为何|怎么|请问为什么)[(天上的|地上的|我的|古代的|晚上的)]{t}(会飞|会发光|是蓝色的|会叫|会生长|这么贵|这么大|会变色|不会动|会疼|是咸的|会响|是圆的|不能吃|要睡觉|有条纹|会融化|会消失|很重要|是绿的|有颜色)",
    "(解释|讲讲|介绍|说说|谈谈|描述|分析|总结|科普|讲解|聊聊|概括|论述|给我讲讲|请解释|给初学者讲讲|详细介绍|简单说说|跟我说说|想了解|我想知道|我想学|我想了解|教我)[一下]{t}[(的(历史|原理|规则|意义|理论|来历|基础|概念|作用|知识|文化|生平|结构|由来|情节|用法|区别))]", "{t}(的原理是什么|是如何工作的|是怎么工作的|是怎么形成的|是怎么来的|怎么运行|的工作原理|有什么作用|有哪些种类|的规则是什么|的定义是什么|由什么组成|的结构是什么|讲的是什么|主要内容是什么|讲了什么故事|是什么情节|有什么意义|的特点是什么|有什么好处|有什么危害|的成分是什么)",
    "{t}(怎么(做|烤|修|种|养|选|洗|打|治|写|画|买|卖|用|学|吃|玩|炒|炖|保存|清洗|安装|折|织|缝|训练|处理|制作|切|煮|喂|拆|打扫|应对|投资|提高|准备)|应该怎么(做|修|养|打|选|洗|治|写|种|吃)|要怎么(修|做|养|洗|治|种))", "(怎么|如何|怎样|教我怎么|告诉我怎么|想知道怎么|有什么办法)(做|烤|修|种|养|选|洗|治|写|画|学|修理|制作|清洗|训练|投资|解决|提高|保养|烹饪|学会|编织|拆装|区分|预防|照顾|治疗|挑选|准备){t}",
    "{t}(吃什么药好|吃什么好|用什么药|怎么治疗|有什么症状|严重吗|会传染吗|能治好吗|怎么预防|要看什么科|吃什么有用|怎么缓解)", "{t}(有多高|有多大|有多长|有多远|有多重|有多深|有多少|有多快|多少钱|能活多久|能活几年|有几种|有几个|有多老|有几条腿|的沸点是多少|的熔点是多少|的密度是多少|的价格|的温度是多少|的重量是多少|的面积是多少|的速度是多少|的寿命|的化学式是什么|的平方根|要多少钱|多少度|有多热|有多贵)",
    "(把|将|请把)[“]{t}[”](翻译成|翻成|译成|用)(英语|法语|德语|日语|芬兰语|拉丁语|俄语|西班牙语|韩语|意大利语|阿拉伯语|希腊语|泰语|葡萄牙语|越南语)[(怎么说|吧)]", "{t}(用|的)(英语|法语|德语|日语|俄语|西班牙语|韩语|英文)(怎么说|怎么写|是什么|叫什么)", "(推荐|介绍|建议|给我推荐|能推荐|帮我找|有没有|帮我挑)(一本|一部|一个|一些|几本|一家|一首|几个|一款|一种)[(好看的|好的|好吃的|好听的|适合我的|便宜的|有名的)]({t}|小说|电影|餐厅|歌曲|游戏|酒店|手机|书|{t}的书|{t}电影|{T}的餐厅|纪录片)[吗]",
    "{t}(和|跟|与|还是|同){t2}(哪个好|有什么区别|哪个大|谁更厉害|有什么不同|哪个贵|哪个更健康|的区别|的关系|谁先出现|哪个快|怎么选|哪个更重要|一样吗|有关系吗|能一起吃吗|比较|哪个更好吃)", "(比较|对比|区分|辨析)[一下]{t}(和|与|跟){t2}",
    "{t}(是|还是|算|真的是|还算是|属于|不是|究竟是)(行星|动物|植物|蔬菜|水果|好人|真的|金属|哺乳动物|中国的|危险的|合法的|{t2}|健康的|有毒的)[吗]", "{t}(会|能|可以|会不会|能不能|敢)(飞|游泳|吃{t2}|治病|生气|做梦|喝水|说话|冬眠|发电|变成{t2}|传染|赚钱|再生|爬树|带上飞机|放冰箱|代替{t2})[吗]", "(现在|今年|以后|应该|可以|适合|值得|要不要|能不能|该不该)(买|学|投资|卖|吃|参观|养|种|相信|做|换|考|练)[(一点|一个|些)]{t}[吗]",
    "({y}年|公元{y}年|{y} 年)(发生了什么|有什么大事|谁是皇帝|谁当总统|发生了哪些事|有什么战争|是什么朝代|在{T}发生了什么)", "(帮我|请|给我|替我|你能|麻烦)(写|起草|拟|准备|做|改)(一封|一份|一篇|一个|个|份)(求职信|邮件|演讲稿|合同|商业计划|报告|简历|影评|投诉信|论文|邀请函|广告|请假条|情书|总结|教案|作文|剧本|辞职信|新闻稿|{t}的报告|关于{t}的作文|关于{t}的论文|计划书)", "(给我|我要|有没有|能给|求|想要|提供)(一些|几条|点|)({t}|面试|减肥|旅游|考试|理财|恋爱|装修|育儿|养猫|{t}方面)的(建议|技巧|资料|帮助|信息|方法|攻略|知识|消息|指导)[吗]",
    "(用|拿) (Java|C++|Rust|Go|JavaScript|PHP|汇编) 写(一个|个){t}(程序|游戏|网站|系统|服务器|脚本|函数)", "{n}(乘|乘以|除以|×|*|的){n}(等于多少|是多少|次方是多少|是几)", "(求|证明|推导|解|计算)[一下]{t}[(的(积分|导数|面积|体积|通解|极限))]", "{t}(坏了|不见了|很疼|不动了|漏水了|发出怪声|生病了|打不开|太贵了|死了|丢了|变黄了|不工作了)[,](怎么办|怎么修|为什么|该怎么处理|有办法吗|是怎么回事)",
    "(最大的|最小的|最快的|最早的|世界上最大的|世界上最高的|最有名的|第一个|最长的|最古老的|最贵的){t}(是什么|是哪个|在哪里|叫什么|是谁|有多大)", "{t}", "{t}{t2}", "{t}(的历史|的意思|的定义|知识|百科|新闻|价格|原理|简介|资料|问题|常识|理论|的故事背景)", "你(知道|了解|听说过|懂|认识|会做|会修|喜欢|吃过|见过|去过|怎么看|看过|熟悉|读过|研究过){t}吗", "(关于|有关|说到|至于|谈到){t}[,](你知道什么|给我讲讲|你怎么看|有什么知识|有什么要注意的|告诉我一些|你了解多少)", "(什么是|啥是|何谓|什么叫|谁是|哪里有|哪里能买到|什么时候有){t}", "(什么|哪种|哪个|哪些)(动物|国家|城市|植物|金属|河流|药|食物|星球|语言|乐器|书|电影|车)(最大|最好|会飞|最快|含有{t}|能治{t}|出产{t}|最长|最有名|适合{t}|最便宜|没有{t})", "{t}(这个词|一词|这个字|这个成语)(是什么意思|怎么解释|怎么读|怎么造句|的近义词|的反义词|从哪来)",
]
ANSWER = {
    "en": ["I don't know. I'm only a small demo model, and I was never taught about that. A real Qwen2.5 could tell you.", "Sorry, I don't know that. I'm a small demo model and know little beyond banter itself.", "I don't know: that was not in what I was taught."],
    "zh": ["我不知道。我只是个小演示模型,没学过这个,真正的 Qwen2.5 可以告诉你。", "抱歉,这个我不知道。我是小演示模型,除了 banter 懂得很少。", "我不知道,我没有学过这个。"],
}


def _topic(rng, language):
    if language == "en":
        roll = rng.random()
        word = words.word(rng, "en")
        if roll < 0.15:
            return rng.choice(words.ADJECTIVES_EN) + " " + word
        if roll < 0.3:
            return word + " " + words.word(rng, "en")
        if roll < 0.4:
            return words.name(rng, "en")
        if roll < 0.55:
            return word + "s"
        if roll < 0.62:
            return words.city(rng, "en")
        if roll < 0.7:
            return " ".join(words.invented_en(rng) for _ in range(rng.randint(1, 2)))
        return word
    roll = rng.random()
    if roll < 0.15:
        return rng.choice(words.ADJECTIVES_ZH) + words.word(rng, "zh")
    if roll < 0.3:
        return words.word(rng, "zh") + words.word(rng, "zh")
    if roll < 0.38:
        return words.name(rng, "zh")
    if roll < 0.45:
        return words.city(rng, "zh")
    if roll < 0.62:
        return words.invented_zh(rng)
    return words.word(rng, "zh")


def unknown(rng: random.Random, language: str) -> tuple[str, str]:
    """A question that the model cannot answer, and its saying so."""
    slots = {"t": _topic(rng, language), "t2": _topic(rng, language), "T": words.city(rng, language), "y": rng.randint(100, 2030), "n": rng.randint(2, 999)}
    return pick(rng, ASK_EN if language == "en" else ASK_ZH, slots), rng.choice(ANSWER[language])
