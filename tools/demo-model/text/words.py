"""Word lists, and words that nobody has ever seen."""

import random

NAMES_EN = """Anna Ben Clara David Emma Felix Grace Henry Isla Jack Kate Leo Mia Noah Olive Paul Quinn Rosa Simon Tina Umar Vera Will Xenia Yara Zack Adam Bella
Carl Diana Ethan Fiona George Hannah Ivan Julia Kevin Laura Mark Nina Oscar Petra Rachel Steve Tom Ursula Victor Wendy Yusuf Zoe Alan Betty Chris Dora Eric Flora
Greg Helen Ian Jane Karl Lily Max Nora Otto Paula Ralph Sarah Ted Uma Vince Walter Yvonne Aisha Bruno Carmen Dmitri Elena Farid Gita Hugo Ines Jorge Kofi Lena
Mateo Nadia Omar Pablo Rafael Sofia Tariq Ulla Viktor Yuki Akira Chen Hiro Jin Ling Mei Ravi Sanjay Anil Deepa Kemal Leila Marek Olga Pavel Sven Astrid Bjorn Eva Frida
Gustav Henrik Ida Johan Klara Lars Magnus Nils Alice Bob Charlie Daisy Edward Frank Gina Harry Iris James Kelly Lucas Maria Nathan Peter Robert Susan Thomas Lucy""".split()
NAMES_TAIL_EN = ["", "", "", "", " Smith", " Brown", " Green", " Miller", " Lopez", " Kim", " Novak", " Rossi", " Hill", " Baker", " Stone", " Park"]
SURNAMES_ZH = list("王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文") + ["诸葛", "上官", "慕容", "东方", "南宫"]
GIVEN_ZH = list("伟芳娜秀敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂英华玉兰红梅春雪琴云飞天海波宁健鹏宇浩轩然子涵欣怡思雨晨阳佳琪梦瑶嘉乐文博志远建国小东建业晓峰立新家豪俊毅雅婷美玲诗若曦语嫣一诺可心安然星辰月光大山石头青松竹林子墨亦凡天佑")
NICKNAMES_ZH = ["小明", "小红", "小王", "老李", "阿强", "阿美", "豆豆", "乐乐", "圆圆", "小刚", "小丽", "老张", "阿宝", "团团", "毛毛", "小雨", "大刘", "阿杰", "小鱼", "安娜", "汤姆", "杰克", "露西", "玛丽", "彼得", "大卫", "艾米", "马克", "约翰", "莉莉"]
CITIES_EN = """Berlin Madrid Rome Vienna Prague Warsaw Dublin Helsinki Athens Budapest Zurich Geneva Munich Hamburg Cologne Lyon Marseille Porto Seville Valencia Naples Milan
Turin Venice Florence Bristol Leeds Glasgow Edinburgh Cardiff Belfast Boston Chicago Seattle Portland Dallas Austin Houston Phoenix Atlanta Miami Orlando Detroit Montreal Vancouver
Calgary Ottawa Lima Bogota Quito Santiago Brasilia Recife Havana Nairobi Lagos Accra Dakar Tunis Algiers Rabat Pretoria Durban Luanda Mumbai Delhi Chennai Kolkata Pune Dhaka
Karachi Lahore Kathmandu Colombo Bangkok Hanoi Manila Jakarta Singapore Seoul Busan Osaka Kyoto Nagoya Sapporo Shanghai Beijing Hangzhou Suzhou Nanjing Wuhan Chengdu Xiamen Sydney
Melbourne Perth Brisbane Auckland Wellington Honolulu Anchorage Bergen Malmo Aarhus Tampere Riga Vilnius Tallinn Krakow Gdansk Zagreb Split Sofia Bucharest Ankara Izmir Tbilisi Paris London Tokyo York""".split()
CITIES_ZH = """北京 上海 广州 天津 重庆 成都 武汉 南京 苏州 无锡 宁波 厦门 福州 济南 大连 沈阳 长春 合肥 南昌 长沙 贵阳 南宁 海口 三亚 桂林 兰州 西宁 银川 太原 石家庄 保定 洛阳 开封 郑州 徐州 扬州 绍兴
温州 金华 嘉兴 珠海 佛山 东莞 汕头 湛江 柳州 遵义 丽江 大理 拉萨 香港 澳门 台北 高雄 唐山 烟台 威海 潍坊 泰安 曲阜 宜昌 襄阳 岳阳 株洲 芜湖 黄山 泉州 漳州 延安 咸阳 宝鸡 敦煌 喀什 伊宁 包头 赤峰 东京 大阪 首尔 曼谷 巴黎 伦敦 柏林 罗马
纽约 多伦多 悉尼 莫斯科 开罗 里斯本 新加坡 日内瓦 芝加哥 墨尔本 维也纳 布拉格 马德里 雅典""".split()
FAVOURITES_EN = {
    "colour": "red blue green yellow purple pink black white grey brown gold silver indigo beige crimson teal lilac olive navy scarlet orange maroon".split(),
    "fruit": "apple banana pear peach plum cherry mango grape melon lemon kiwi orange apricot fig date strawberry blueberry coconut pineapple lychee".split(),
    "animal": "cat dog horse rabbit tiger lion panda elephant whale dolphin owl eagle turtle penguin deer wolf bear hamster monkey giraffe zebra crow seal fox".split(),
    "food": "pizza pasta rice soup bread cheese dumplings noodles curry salad tofu pancakes sushi tacos stew potatoes chocolate porridge omelette ramen risotto".split(),
    "drink": "tea coffee milk juice water cocoa lemonade cider wine beer".split(),
    "season": "spring summer autumn winter".split(),
    "sport": "football tennis swimming running cycling chess basketball skating skiing climbing rowing golf boxing judo".split(),
    "flower": "rose tulip lily daisy iris orchid lotus peony sunflower violet".split(),
    "instrument": "piano guitar violin flute drum harp cello trumpet".split(),
    "number": [str(n) for n in range(1, 100)],
}
FAVOURITES_ZH = {
    "颜色": "红色 蓝色 绿色 黄色 白色 黑色 粉色 灰色 橙色 棕色 金色 银色 青色 米色 天蓝色 墨绿色 玫红色 紫色".split(),
    "水果": "苹果 香蕉 梨 桃子 李子 樱桃 芒果 葡萄 西瓜 柠檬 橘子 草莓 菠萝 荔枝 椰子 石榴 柚子 蓝莓 杏子 山竹".split(),
    "动物": "猫 狗 马 兔子 老虎 狮子 熊猫 大象 鲸鱼 海豚 猫头鹰 老鹰 乌龟 企鹅 鹿 狼 熊 仓鼠 猴子 长颈鹿 斑马 松鼠 狐狸".split(),
    "食物": "米饭 面条 包子 馒头 火锅 豆腐 炒饭 披萨 寿司 烤鸭 红烧肉 粽子 汤圆 馄饨 春卷 米粉 烧饼 饺子 蛋糕 巧克力".split(),
    "饮料": "茶 咖啡 牛奶 果汁 豆浆 可乐 绿茶 红茶 柠檬水 酸梅汤".split(),
    "季节": "春天 夏天 秋天 冬天".split(),
    "运动": "足球 篮球 游泳 跑步 乒乓球 羽毛球 网球 滑雪 滑冰 爬山 下棋 骑车 排球 太极".split(),
    "花": "玫瑰 百合 牡丹 荷花 菊花 梅花 兰花 茉莉 桂花 向日葵".split(),
    "乐器": "钢琴 吉他 小提琴 笛子 二胡 古筝 琵琶 鼓".split(),
    "数字": [str(n) for n in range(1, 100)],
}
NOUNS_EN = """river stone lamp window garden bridge clock kettle train ladder pillow basket mirror candle hammer blanket bottle pencil cloud forest island valley desert castle village harbour
market kitchen school museum library engine wheel rocket satellite planet comet galaxy volcano glacier ocean tide storm thunder rainbow desert jungle meadow orchard barn tractor plough
bicycle airplane helicopter submarine canoe anchor compass map telescope microscope magnet battery circuit robot computer keyboard printer camera phone radio television newspaper novel
poetry opera orchestra sculpture painting theatre cinema dance guitar drum whistle bell coin bank tax budget loan insurance contract lawyer judge parliament president king queen soldier
army treaty war peace empire dynasty revolution religion temple church mosque philosophy logic ethics grammar alphabet dictionary accent medicine doctor nurse virus bacteria vaccine heart
lung liver kidney brain nerve bone muscle skin tooth eye ear diet vitamin protein sugar salt pepper onion garlic potato tomato carrot bean wheat corn rice butter yogurt honey cinnamon
recipe oven knife fork spoon plate cup shirt coat shoe hat glove wool cotton silk leather gold copper iron steel aluminium glass plastic rubber oil gas coal uranium hydrogen oxygen carbon
atom molecule electron photon gravity energy entropy pressure temperature velocity equation theorem integral matrix vector probability statistics geometry algebra economy inflation export
stock bond startup marketing salary pension rent mortgage passport visa airport hotel beach mountain skiing football cricket chess poker boxing marathon olympics swimming yoga spider bee
butterfly ant shark salmon parrot pigeon snake lizard frog camel donkey goat sheep cow pig chicken duck goose dinosaur fossil mammoth tree oak pine bamboo moss mushroom seed root leaf
petal pollen soil fertiliser drought flood earthquake climate pollution recycling solar windmill nuclear laser radar sonar gps internet browser database compiler algorithm encryption bitcoin
blockchain kernel docker linux windows android javascript java rust haskell wedding funeral birthday holiday christmas easter carnival toy puzzle balloon kite swing puppy kitten baby teenager
uncle cousin neighbour friend enemy hero villain pirate wizard ghost vampire unicorn mermaid""".split()
ADJECTIVES_EN = """old new red blue small big quiet loud broken golden wooden silver empty happy sad brave lazy clever cold warm bright dark tall short round flat heavy light sweet bitter
ancient modern famous hidden rare common wild gentle strange purple green wet dry soft hard fast slow rich poor clean dirty young thin wide narrow deep shallow honest proud sleepy hungry""".split()
VERBS_EN = """paint build carry open close wash cut bake boil fry plant water climb draw sing play read write drive ride fly sail swim catch throw kick push pull fix repair clean sell buy
rent find lose hide break fold tie sew knit weld melt freeze dry roast peel slice mix grind polish measure weigh count teach learn train feed walk pet shear milk harvest plough mow dig""".split()
PAST_EN = """painted built carried opened closed washed baked planted climbed drew sang played read wrote drove sold bought found lost hid fixed cleaned folded tied watched followed forgot
remembered loved chased carved borrowed ate drank dropped kept broke brought""".split()
NOUNS_ZH = """河流 石头 台灯 窗户 花园 桥梁 时钟 水壶 火车 梯子 枕头 篮子 镜子 蜡烛 锤子 毯子 瓶子 铅笔 云朵 森林 岛屿 山谷 沙漠 城堡 村庄 港口 市场 厨房 学校 博物馆 图书馆 发动机 轮子 火箭 卫星 行星 彗星 银河系 火山 冰川 海洋 潮汐 风暴 雷电
彩虹 丛林 草地 果园 谷仓 拖拉机 自行车 飞机 直升机 潜水艇 独木舟 船锚 指南针 地图 望远镜 显微镜 磁铁 电池 电路 机器人 电脑 键盘 打印机 相机 手机 收音机 电视 报纸 小说 歌剧 交响乐 雕塑 油画 戏剧 电影 舞蹈 硬币 银行 税收 预算 贷款 保险 合同
律师 法官 议会 总统 国王 王后 士兵 军队 条约 战争 和平 帝国 王朝 革命 宗教 寺庙 教堂 哲学 逻辑 伦理 语法 词典 口音 医学 医生 护士 病毒 细菌 心脏 肺 肝脏 肾脏 大脑 神经 骨骼 肌肉 皮肤 牙齿 眼睛 耳朵 饮食 维生素 蛋白质 白糖 食盐 洋葱 大蒜 土豆 番茄 胡萝卜
豆子 小麦 玉米 黄油 酸奶 蜂蜜 肉桂 菜谱 烤箱 菜刀 叉子 勺子 盘子 杯子 衬衫 大衣 鞋子 帽子 手套 羊毛 棉花 丝绸 皮革 铜 钢铁 铝 玻璃 塑料 橡胶 石油 天然气 煤炭 铀 氢气 氧气 碳 原子 分子 电子 光子 引力 能量 熵 压强 速度 方程 定理 积分 矩阵 向量 概率
统计 几何 代数 经济 通货膨胀 出口 股票 债券 创业 营销 工资 养老金 房租 房贷 护照 签证 机场 酒店 海滩 高山 滑雪 足球 围棋 拳击 马拉松 奥运会 瑜伽 蜘蛛 蜜蜂 蝴蝶 蚂蚁 鲨鱼 三文鱼 鹦鹉 鸽子 蛇 蜥蜴 青蛙 骆驼 驴 山羊 绵羊 奶牛 猪 鸡 鸭子 鹅 恐龙 化石
猛犸 橡树 松树 竹子 苔藓 蘑菇 种子 树根 树叶 花瓣 花粉 土壤 肥料 干旱 洪水 气候 污染 回收 太阳能 风车 核能 激光 雷达 导航 互联网 浏览器 数据库 编译器 算法 加密 比特币 区块链 内核 婚礼 葬礼 生日 假期 圣诞节 端午节 中秋节 玩具 拼图 气球 风筝 秋千
小狗 小猫 婴儿 叔叔 爸爸 妈妈 爷爷 奶奶 哥哥 姐姐 妹妹 弟弟 宝宝 娃娃 星星 猩猩 蝈蝈 泡泡 表哥 邻居 朋友 敌人 英雄 海盗 巫师 幽灵 吸血鬼 独角兽 美人鱼 唐朝 宋朝 红楼梦 西游记 书法 京剧 中药 针灸 太极拳 高铁 地铁 长城 故宫 长江 黄河 泰山""".split()
ADJECTIVES_ZH = "旧 新 红 蓝 小 大 安静的 吵闹的 破 金色的 木头 银色的 空 快乐的 悲伤的 勇敢的 懒 聪明的 冷 暖和的 明亮的 黑 高 矮 圆 扁 重 轻 甜 苦 古老的 现代的 有名的 稀有的 奇怪的 绿 湿 干 软 硬 年轻的 瘦 宽 窄 深 浅 诚实的 骄傲的 困倦的".split()
VERBS_ZH = "画 造 搬 打开 关上 洗 切 烤 煮 炒 种 浇 爬 唱 玩 读 写 开 骑 捉 扔 踢 推 拉 修 打扫 卖 买 租 找 藏 折 缝 织 融化 冷冻 晒 剥 搅拌 磨 擦 量 称 教 学 训练 喂 收割 挖 拆 保养 清洗 挑选".split()
PLACES_EN = "on the roof,by the river,in the garden,at the station,under the table,behind the house,near the lake,in the rain,after lunch,before dawn,on Monday,in silence,at midnight,with great care,every summer".split(",")
PLACES_ZH = "在屋顶上 在河边 在花园里 在车站 在桌子下 在房子后面 在湖边 在雨里 午饭后 天亮前 星期一 悄悄地 半夜里 小心地 每年夏天 在操场上 在楼梯上".split()
SYLLABLES = [c + v for c in "b c d f g h j k l m n p r s t v w z br ch cl dr fl gr kr pl sh sk st th tr".split() for v in "a e i o u ai ea oo ou".split()]
ENDINGS = ["", "", "n", "r", "s", "t", "l", "m", "nd", "x", "ck", "th", "sk", "rn", "ss"]
HANZI = [bytes([row, cell]).decode("gb2312") for row in range(0xB0, 0xD7) for cell in range(0xA1, 0xFA)]  # the 3,500 most common characters


def invented_en(rng: random.Random) -> str:
    """A word that could be English and is not."""
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.choice([1, 2, 2, 2, 3]))) + rng.choice(ENDINGS)


def invented_zh(rng: random.Random, length: int | None = None) -> str:
    """Random characters side by side, now and then one of them twice, as in 妈妈."""
    characters = [rng.choice(HANZI) for _ in range(length or rng.choice([1, 2, 2, 2, 3, 4]))]
    if len(characters) > 1 and rng.random() < 0.15:
        at = rng.randrange(1, len(characters))
        characters[at] = characters[at - 1]
    return "".join(characters)


def word(rng: random.Random, language: str) -> str:
    """A noun, or an invented word one time in four."""
    if language == "en":
        return rng.choice(NOUNS_EN) if rng.random() < 0.7 else invented_en(rng)
    return rng.choice(NOUNS_ZH) if rng.random() < 0.7 else invented_zh(rng)


def name(rng: random.Random, language: str) -> str:
    """A person's name."""
    if language == "en":
        first = rng.choice(NAMES_EN) if rng.random() < 0.5 else invented_en(rng).capitalize()
        return first + rng.choice(NAMES_TAIL_EN)
    roll = rng.random()
    if roll < 0.15:
        return rng.choice(NICKNAMES_ZH)
    if roll < 0.3:
        return rng.choice(NAMES_EN)
    if roll < 0.5:
        return invented_zh(rng, rng.choice([2, 3]))
    return rng.choice(SURNAMES_ZH) + "".join(rng.choice(GIVEN_ZH) for _ in range(rng.choice([1, 2])))


def city(rng: random.Random, language: str) -> str:
    """A city's name."""
    if language == "en":
        return rng.choice(CITIES_EN) if rng.random() < 0.5 else invented_en(rng).capitalize() + rng.choice(["", "", "burg", "ton", "ville", "grad", "ia"])
    return rng.choice(CITIES_ZH) if rng.random() < 0.5 else invented_zh(rng, rng.choice([2, 2, 3, 4])) + rng.choice(["", "", "", "市", "县", "镇"])


def favourite(rng: random.Random, language: str) -> tuple[str, str]:
    """A kind of thing and one of its kind, invented one time in three."""
    table = FAVOURITES_EN if language == "en" else FAVOURITES_ZH
    kind = rng.choice(list(table))
    if rng.random() < 0.33 and kind not in ("number", "数字", "season", "季节"):
        return kind, invented_en(rng) if language == "en" else invented_zh(rng, rng.choice([2, 2, 3]))
    return kind, rng.choice(table[kind])


def sentence(rng: random.Random, language: str) -> str:
    """A sentence that means little: for copying."""
    roll = rng.random()
    if language == "en":
        if roll < 0.3:
            return " ".join(word(rng, "en") for _ in range(rng.randint(1, 7)))
        noun = lambda: rng.choice(["the", "a", "my", "your", "our", "her", "every", "this", "two", "five", "no", "some"]) + " " + rng.choice([rng.choice(ADJECTIVES_EN) + " ", ""]) + word(rng, "en")
        if roll < 0.4:
            return f"{rng.choice([rng.choice(ADJECTIVES_EN) + ' ', ''])}{word(rng, 'en')}s {rng.choice(['never', 'always', 'often', 'seldom', 'can', 'will', 'must', 'do not', 'like to', ''])} {rng.choice(VERBS_EN)} {rng.choice(['', rng.choice(PLACES_EN), noun()])}".replace("  ", " ").strip()
        if roll < 0.5:
            return f"{noun()} is {rng.choice(ADJECTIVES_EN)} {rng.choice(['', 'and ' + rng.choice(ADJECTIVES_EN), rng.choice(PLACES_EN)])}".strip()
        return f"{noun()} {rng.choice(PAST_EN)} {noun()} {rng.choice(['', rng.choice(PLACES_EN)])}".strip()
    if roll < 0.25:
        return invented_zh(rng, rng.randint(3, 9))
    noun = lambda: rng.choice(["", "我的", "那只", "一个", "他的", "两个", "这"]) + rng.choice([rng.choice(ADJECTIVES_ZH), ""]) + word(rng, "zh")
    if roll < 0.45:
        return f"{noun()}很{rng.choice(ADJECTIVES_ZH).rstrip('的')}"
    return noun() + rng.choice(["", rng.choice(PLACES_ZH)]) + rng.choice(VERBS_ZH) + rng.choice(["了", "", "着"]) + noun()
