"""The parts that the names of synthetic customers are made of, zh and en."""

from typing import Final


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    words = _words(text)
    pairs = zip(words[::2], words[1::2], strict=True)
    return tuple((zh, en.replace("_", " ")) for zh, en in pairs)


PLACES: Final = _pairs(
    """
    云岭 Yunling  星河 Xinghe  东澜 Donglan  青禾 Qinghe  玉泉 Yuquan  南屿 Nanyu
    松原里 Songyuanli  白鹭 Bailu  长汀口 Changtingkou  海棠 Haitang  金穗 Jinsui
    北渡 Beidu  石桥 Shiqiao  竹溪 Zhuxi  枫林 Fenglin  沙洲 Shazhou
    望川 Wangchuan  凤台 Fengtai  柳岸 Liuan  雪峰 Xuefeng  晴港 Qinggang
    龙湾 Longwan  鹤鸣 Heming  梧桐 Wutong  西岭 Xiling  新月 Xinyue
    潮声 Chaosheng  平川 Pingchuan  银杏 Yinxing  江心 Jiangxin  古渡 Gudu
    红崖 Hongya  麦田 Maitian  浅草 Qiancao  双塔 Shuangta  荷塘 Hetang
    岚山 Lanshan  驿前 Yiqian  桃源 Taoyuan  九曲 Jiuqu
    """
)

MARKS: Final = _pairs(
    """
    顺达 Shunda  恒通 Hengtong  捷运 Jieyun  安驰 Anchi  宏远 Hongyuan
    嘉行 Jiaxing  迅联 Xunlian  众达 Zhongda  德运 Deyun  远航 Yuanhang
    康途 Kangtu  泰行 Taixing  锐驰 Ruichi  同舟 Tongzhou  卓运 Zhuoyun
    万里 Wanli  畅途 Changtu  明达 Mingda  飞渡 Feidu  稳行 Wenxing  启程 Qicheng
    绿驰 Luchi  天路 Tianlu  正通 Zhengtong  乐行 Lexing  瑞途 Ruitu  和运 Heyun
    博驰 Bochi  汇达 Huida  亿程 Yicheng  劲驰 Jinchi  广运 Guangyun  诚途 Chengtu
    悦行 Yuexing  集成 Jicheng  川流 Chuanliu  赛驰 Saichi  隆运 Longyun
    信达行 Xindaxing  新程 Xincheng
    """
)

TRADES: Final = _pairs(
    """
    物流 Logistics  公交 City_Buses  客运 Coaches  冷链运输 Cold_Chain
    出租汽车 Taxis  港口运输 Port_Haulage
    """
)

FAMILY: Final = tuple("赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许")
GIVEN: Final = _words(
    """
    晓岚 立群 雨桐 景行 思远 佳宁 若溪 明轩 子衿 书瑶
    浩然 静姝 凯歌 慧敏 志远 欣怡 文博 春霖 海川 秋实
    """
)
