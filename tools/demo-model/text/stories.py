"""Long stories from a grammar of beats: a hero, a wish, a journey, a helper, a return."""

import random

from . import words
from .grammar import expand, pick
from .show import MAKE_EN, MAKE_ZH

HEROES_EN = "fox cat bear rabbit girl boy mouse owl sailor farmer baker dragon robot turtle king fisherman wolf princess painter deer".split()
HEROES_ZH = "狐狸 小猫 小熊 兔子 女孩 男孩 老鼠 猫头鹰 水手 农夫 面包师 小龙 机器人 乌龟 国王 渔夫 小狼 公主 画家 小鹿".split()
LONG_EN = "(long|very long|really long|lengthy|nice long|big|huge|extra long|long, long|endless|detailed|not too short)"
STORY_EN = "(story|tale|fairy tale|adventure|bedtime story|story for children|narrative|yarn|fable|adventure story|story for my kids|legend|story for the night)"
ABOUT_EN = "[(about|with|of|on|featuring|starring|where the hero is|in which we meet) (a|the|some|one) [(little|small|brave|young|old|clever|lonely)] {hero} [(and (a|the) {other}|in it|and a (journey|treasure|secret))]]"
ASK_EN = [
    "(tell|read|spin|narrate|give|write|invent|make up|sing|can you tell|could you tell|please tell|I want you to tell|would you tell|would you write|can you write|could you invent|please invent|please write|I'd like you to tell|you should tell) [(me|us|my kids|my children|the kids)] (a|one|some|another) [" + LONG_EN + "] " + STORY_EN + " " + ABOUT_EN + " [(please|before I sleep|for me|as long as you can|the longer the better|and make it long|don't keep it short|with many words|for the kids|that takes a while|and take your time)]",
    MAKE_EN + " (a|one|me a|another) " + LONG_EN + " (story|tale|adventure|text|fairy tale|bedtime story) " + ABOUT_EN,
    "(I (want|would like|need|would love) to (hear|read|see|enjoy|listen to)|I'd like to hear|I'd love|let me hear|let's have|let us hear|how about|time for|I'm in the mood for|I could use|do you know|is there|may I hear) (a|one|some|another) [" + LONG_EN + "] " + STORY_EN + " " + ABOUT_EN,
    "(story|a story|story time|storytime|bedtime story|long story|a long story|tale|a tale|fairy tale|adventure|long tale|adventure story|another story|long text) " + ABOUT_EN + " [(please|now|long version|and make it long|a long one|not a short one|for kids)]",
    "(I can't sleep|I cannot sleep|I'm bored|it is bedtime|the kids are in bed|it's late|I have time|I'm tired|it is raining outside|we have a long evening)[,] (tell me (a story|something long|a tale|a long story|something)|a story please|please tell a story|read me something|make up a story|give me a long story|a long tale please|entertain me with a story) " + ABOUT_EN,
    "(write|produce|print|generate|I want to see|I want to watch|show me|stream|let me see|type|let me watch) (a lot of text|a very long text|many words|a long answer|lots of text|as much text as you can|long text|a long text)[,] [(a story|for example a story|write a story|like a story|tell a story|make it a story)] [(come in|stream in|on the screen|please)]",
]
LONG_ZH = "(长|长长的|很长的|长一点的|特别长的|非常长的|长篇|漫长的|篇幅长的|超长的|篇幅很长的|挺长的|不短的)"
STORY_ZH = "(故事|童话|睡前故事|冒险故事|童话故事|传说|长故事|寓言|小说|儿童故事|冒险)"
ABOUT_ZH = "[(关于|有关|讲|描写|主角是|跟|以|说)(一只|一个|)[(小|勇敢的|聪明的|孤单的|年老的)]{hero}[(和{other}|有关|为主角)][的]]"
ASK_ZH = [
    "[(请|给我|可以给我|能不能给我|能给我|你能|麻烦|想请你|为我|给孩子们|给孩子|你来|帮我|给我们|请你)](讲|说|编|写|来|讲述|叙述|创作|虚构|念|侃|编写)(一个|个|一段|一篇|一则|段|篇)[" + LONG_ZH + "]" + ABOUT_ZH + STORY_ZH + "[(吧|给我听|听听|哄我睡觉|,越长越好|,长一点|,要长|,别太短|,尽量长|,不要太短|,多写一点)]",
    "(我想|想|我要|我很想|好想|我们想)(听|看|读|听听)(一个|个|一段|一篇|)[" + LONG_ZH + "]" + ABOUT_ZH + STORY_ZH,
    "(讲故事|讲个故事|故事|来个故事|睡前故事|长故事|写故事|说故事|编故事|讲个长故事|长篇故事|童话|来段故事|再来一个故事|故事时间)[(吧|,长一点|,越长越好|,关于{hero}|,要长的|,主角是{hero}|,别太短)]",
    "(我睡不着|睡不着|孩子要睡了|好无聊|该睡觉了|我很无聊|失眠了|外面下雨了|晚上没事做|时间还早)[,](讲个故事吧|给我讲个故事|讲个长故事|来个故事|说个故事听听|给我讲个长长的故事|编个故事吧|讲一个关于{hero}的故事|来一段长故事|讲点长的)",
    MAKE_ZH + "(一大段|很多|大段|一段很长的|一篇很长的|长长的一段|大量)(文字|内容|字|文章|话)[,][(讲个故事|比如一个故事|写个故事|一个长故事|故事也行|讲故事)]",
    "(把|用){hero}(当主角|作为主角|做主角|为主角)[,](写|编|讲|创作)(一个|个|一篇)[" + LONG_ZH + "](故事|童话|冒险故事)",
]

BEATS_EN = [
    ["Once upon a time, in {place}, there lived a {adj} {hero} called {name}.", "Long ago a {adj} {hero} called {name} lived in {place}."],
    ["{name} had a small house with a {colour} door and a garden full of herbs.", "{name} had one room, one window and a {colour} lamp."],
    ["Every morning {name} went down to the river, looked at the water and listened to the birds.", "Every evening {name} sat by the fire and thought about the wide world."],
    ["People liked {name}, because {name} was kind to everybody and never in a hurry.", "The neighbours said that nobody in the whole valley told better jokes than {name}."],
    ["One day the wind brought a strange letter. It said: \"Whoever finds the {treasure} will never be lonely again.\"", "One night a falling star dropped behind the hills, and an old song came to mind: behind the hills lies the {treasure}."],
    ["{name} read the words three times, packed some bread and a blanket, and closed the door.", "{name} could not sleep any more, so at dawn a bag was packed with bread, cheese and a rope."],
    ["The road was long. First it went through fields of wheat, then into a dark forest.", "The path climbed slowly. On the left there was a lake, on the right there were tall old trees."],
    ["In the forest it was so quiet that every step could be heard.", "The trees stood close together, and only a little light fell on the moss."],
    ["There {name} met a {friend} with a {colour} scarf. \"Where are you going?\" asked the {friend}.", "Under a fallen tree sat a {friend}, wet and hungry. \"Who are you?\" asked the {friend}."],
    ["\"I am looking for the {treasure},\" said {name}. \"Then take me with you,\" said the {friend}, \"two see more than one.\"", "{name} shared the bread with the {friend} and told the whole story. \"I will come along,\" said the {friend}."],
    ["So they walked on together, and the road seemed only half as long.", "From then on they were two, and when one was tired, the other sang."],
    ["After three days they came to a river without a bridge. The water was fast and cold.", "On the third day a storm came up. Rain fell like a curtain, and thunder rolled over the hills."],
    ["They tied the rope to a tree, held each other by the hand and crossed, step by step.", "They found a cave, made a small fire and waited until the sky was blue again."],
    ["On the other side stood a gate of stone, and before the gate slept a giant.", "Behind the hills stood an old tower, and at its door sat a giant with a long grey beard."],
    ["\"Nobody passes here,\" said the giant, \"unless he can tell me what grows when you give it away.\"", "\"I ask everyone one question,\" said the giant. \"What becomes bigger when you share it?\""],
    ["{name} thought for a long time. Then {name} looked at the {friend} and smiled.", "The {friend} scratched its head. But {name} remembered the bread in the forest."],
    ["\"Joy,\" said {name}. \"Joy grows when you give it away.\" The giant laughed until the stones shook.", "\"Friendship,\" said {name}. The giant nodded, stood up and opened the door."],
    ["Inside there was no gold and no crown. On a table lay the {treasure}, and it shone softly.", "Inside it was bright and warm, and in the middle of the room lay the {treasure}."],
    ["Beside it lay a note: \"You are not lonely any more, for you did not come alone.\"", "When they touched it, it became warm, and both of them had to laugh."],
    ["They took the {treasure}, thanked the giant and started on the way home.", "They carried the {treasure} home in turns, past the river, the forest and the fields."],
    ["When they arrived, the whole village came to meet them with lanterns and music.", "At home the neighbours had already put tables into the garden, and everybody wanted to hear the story."],
    ["There was soup and cake, and the feast went on until the stars grew pale.", "They danced and sang, and even the giant came by and brought a basket of apples."],
    ["The {friend} stayed and moved into the house with the garden.", "The {friend} built a house next door, with a window to the river."],
    ["And whenever somebody was sad, they lit the {treasure} and told the story once more.", "And in the evenings they sat together, and the {treasure} shone over the table."],
    ["So they lived happily for many years. The end.", "And if the river still runs, they are sitting there today. The end."],
]
BEATS_ZH = [
    ["从前,在{place},住着一个{adj}{hero},名叫{name}。", "很久很久以前,{place}有一个{adj}{hero},大家叫它{name}。"],
    ["{name}有一间小房子,{colour}的门,院子里种满了香草。", "{name}的家里有一扇窗、一张床和一盏{colour}的灯。"],
    ["每天早上,{name}都到河边看流水,听鸟儿唱歌。", "每天晚上,{name}都坐在火炉旁,想着外面的大世界。"],
    ["大家都喜欢{name},因为{name}对谁都很和气,从来不着急。", "邻居们都说,整个山谷里没有谁比{name}更会讲笑话。"],
    ["有一天,风送来一封奇怪的信,上面写着:“谁找到{treasure},谁就不再孤单。”", "有一天夜里,一颗流星落到山后面,{name}想起一首老歌:山的那边有{treasure}。"],
    ["{name}把信读了三遍,带上面包和毯子,关好了门。", "{name}再也睡不着了,天一亮就收拾好面包、奶酪和一根绳子。"],
    ["路很长,先穿过金黄的麦田,再走进黑黑的森林。", "小路慢慢往上爬,左边是湖水,右边是高高的老树。"],
    ["晚上它就睡在草堆里,数着天上的星星,心里又高兴又有点害怕。", "它一边走一边唱歌,累了就坐在石头上吃一口面包,喝一口泉水。"],
    ["森林里安静极了,每一步都听得见。", "树木挨得很近,只有一点点光落在青苔上。"],
    ["在那里,{name}遇见了一只围着{colour}围巾的{friend}。“你要去哪里?”{friend}问。", "一棵倒下的大树下面坐着一只{friend},又湿又饿。“你是谁?”{friend}问。"],
    ["“我在找{treasure}。”{name}说。“那带上我吧,”{friend}说,“两个总比一个看得多。”", "{name}把面包分给{friend},把事情从头讲了一遍。“我跟你一起去。”{friend}说。"],
    ["于是它们一起往前走,路好像短了一半。", "从此它们成了伙伴,一个累了,另一个就唱歌。"],
    ["三天以后,它们来到一条没有桥的河边,水又急又冷。", "第三天起了暴风雨,雨像帘子一样落下来,雷声滚过山头。"],
    ["它们把绳子系在树上,手拉着手,一步一步走了过去。", "它们找到一个山洞,生起一小堆火,一直等到天空又变蓝。"],
    ["河的对面有一座石门,门前睡着一个巨人。", "山后面立着一座老塔,门口坐着一个长胡子的巨人。"],
    ["“谁也不能过去,”巨人说,“除非他能告诉我,什么东西越送人越多。”", "“我问每个人一个问题,”巨人说,“什么东西分给别人反而会变大?”"],
    ["{name}想了很久,然后看了看{friend},笑了。", "{friend}挠了挠头,可是{name}想起了森林里的那块面包。"],
    ["“是快乐,”{name}说,“快乐越送越多。”巨人哈哈大笑,石头都跟着抖了起来。", "“是友谊。”{name}说。巨人点点头,站起来打开了门。"],
    ["里面没有金子,也没有王冠,桌上放着{treasure},发出柔和的光。", "里面又亮又暖,屋子中间放着{treasure}。"],
    ["旁边有一张纸条:“你已经不孤单了,因为你不是一个人来的。”", "它们轻轻一碰,它就暖和起来,两个伙伴都笑了。"],
    ["它们带上{treasure},谢过巨人,踏上了回家的路。", "它们轮流抱着{treasure},走过河流、森林和田野。"],
    ["路上它们给每一个遇见的人讲自己的故事,人人都听得入了迷。", "路上下起了小雨,它们躲在大叶子下面,一点也不觉得冷。"],
    ["到家的时候,全村的人都提着灯笼、奏着音乐来迎接。", "邻居们早就把桌子搬进了院子,人人都想听这个故事。"],
    ["有热汤,有蛋糕,宴会一直开到星星变淡。", "大家又唱又跳,连巨人也来了,还带来一篮苹果。"],
    ["{friend}留了下来,搬进了有院子的小房子。", "{friend}在隔壁盖了一间房,窗户正对着小河。"],
    ["每当有人难过,它们就点亮{treasure},把故事再讲一遍。", "到了晚上,它们坐在一起,{treasure}照亮了桌子。"],
    ["就这样,它们快快乐乐地生活了很多年。故事讲完了。", "如果小河还在流,它们今天也还坐在那里。故事讲完了。"],
]
SLOTS_EN = {"place": ["a village by the sea", "a quiet valley", "a town on a hill", "a house at the edge of the forest", "a harbour in the north"], "adj": ["little", "brave", "curious", "gentle", "clever"], "colour": ["blue", "red", "green", "yellow"],
            "treasure": ["silver lantern", "singing stone", "golden bell", "glass flower"], "friend": ["hedgehog", "squirrel", "raven", "badger", "hare"], "name": ["Momo", "Tilo", "Luna", "Pip", "Nuri", "Bela"]}
SLOTS_ZH = {"place": ["海边的小村庄", "安静的山谷里", "山坡上的小镇", "森林边上", "北方的港口"], "adj": ["小小的", "勇敢的", "好奇的", "温柔的", "聪明的"], "colour": ["蓝色", "红色", "绿色", "黄色"],
            "treasure": ["银灯笼", "会唱歌的石头", "金铃铛", "玻璃花"], "friend": ["刺猬", "松鼠", "乌鸦", "獾", "野兔"], "name": ["毛毛", "豆豆", "露娜", "皮皮", "小星", "阿布"]}


def story(rng: random.Random, language: str) -> tuple[str, str]:
    """A request for a story, and a long one, about the hero asked for if one was."""
    english = language == "en"
    hero = rng.choice(HEROES_EN if english else HEROES_ZH)
    if rng.random() < 0.15:
        hero = words.word(rng, language)
    slots = {key: rng.choice(values) for key, values in (SLOTS_EN if english else SLOTS_ZH).items()}
    ask = pick(rng, ASK_EN if english else ASK_ZH, {"hero": hero, "other": words.word(rng, language)})
    slots["hero"] = hero if hero in ask else rng.choice(["fox", "girl"] if english else ["狐狸", "女孩"])
    beats = [expand(rng, rng.choice(beat), slots) for beat in (BEATS_EN if english else BEATS_ZH)]
    joint = " " if english else ""
    paragraphs = [joint.join(beats[at : at + 4]) for at in range(0, len(beats), 4)]
    return ask, "\n\n".join(paragraphs)
