/*
 * The small world that the corpus and the quickstart's data speak of. What exists in both languages stands in one table,
 * so that translation exercises and stories agree.
 */

/** A noun: English singular and plural, Chinese, and the Chinese measure word it is counted with. */
export interface Noun {
  en: string;
  plural: string;
  zh: string;
  measure: string;
}

function nouns(table: string): Noun[] {
  return table
    .trim()
    .split("\n")
    .map((line) => {
      const [en, plural, zh, measure] = line.trim().split(" ");
      return { en: en!, plural: plural!, zh: zh!, measure: measure! };
    });
}

/** A word with its translation. */
export interface Pair {
  en: string;
  zh: string;
}

function pairs(table: string): Pair[] {
  return table
    .trim()
    .split(/\s+/)
    .map((entry) => {
      const [en, zh] = entry.split("=");
      return { en: en!, zh: zh! };
    });
}

export const things: readonly Noun[] = nouns(`
  lamp lamps 台灯 盏
  chair chairs 椅子 把
  table tables 桌子 张
  cup cups 杯子 个
  bag bags 书包 个
  hat hats 帽子 顶
  coat coats 外套 件
  shirt shirts 衬衫 件
  book books 书 本
  pen pens 钢笔 支
  box boxes 盒子 个
  clock clocks 闹钟 个
  key keys 钥匙 把
  bike bikes 自行车 辆
  phone phones 手机 部
  camera cameras 相机 台
  radio radios 收音机 台
  scarf scarves 围巾 条
  kite kites 风筝 只
  ball balls 皮球 个
  mirror mirrors 镜子 面
  carpet carpets 地毯 张
  bottle bottles 瓶子 个
  violin violins 小提琴 把`);

export const fruits: readonly Noun[] = nouns(`
  apple apples 苹果 个
  pear pears 梨 个
  peach peaches 桃子 个
  lemon lemons 柠檬 个
  melon melons 甜瓜 个
  mango mangoes 芒果 个
  banana bananas 香蕉 根
  grape grapes 葡萄 颗
  plum plums 李子 个
  cherry cherries 樱桃 颗
  coconut coconuts 椰子 个
  lychee lychees 荔枝 颗`);

export const animals: readonly Noun[] = nouns(`
  cat cats 猫 只
  dog dogs 狗 条
  horse horses 马 匹
  cow cows 牛 头
  goat goats 山羊 只
  bird birds 鸟 只
  duck ducks 鸭子 只
  rabbit rabbits 兔子 只
  tiger tigers 老虎 只
  lion lions 狮子 头
  bear bears 熊 头
  monkey monkeys 猴子 只
  panda pandas 熊猫 只
  fox foxes 狐狸 只
  frog frogs 青蛙 只
  pig pigs 猪 头`);

export const colours: readonly Pair[] = pairs(
  "red=红色 blue=蓝色 green=绿色 yellow=黄色 white=白色 black=黑色 pink=粉色 purple=紫色 grey=灰色 brown=棕色",
);

export const jobs: readonly Pair[] = pairs(`
  teacher=老师 doctor=医生 cook=厨师 driver=司机 farmer=农民 nurse=护士 baker=面包师 painter=画家
  singer=歌手 writer=作家 lawyer=律师 tailor=裁缝 pilot=飞行员 dancer=舞者 gardener=园丁 judge=法官`);

export const days: readonly Pair[] = pairs(
  "Monday=周一 Tuesday=周二 Wednesday=周三 Thursday=周四 Friday=周五 Saturday=周六 Sunday=周日",
);

/** Number words from 1 to 12; index 0 is "one". */
export const numbers: readonly Pair[] = pairs(
  "one=一 two=二 three=三 four=四 five=五 six=六 seven=七 eight=八 nine=九 ten=十 eleven=十一 twelve=十二",
);

const list = (words: string): string[] => words.trim().split(/\s+/);

export const englishNames: readonly string[] = list(`
  Mia Tom Anna Leo Nora Max Eva Ben Lucy Paul Ida Jack Rosa Hugo Ella Sam Clara Finn Alice Oscar Lena Adam Julia Noah
  Emma Peter Sara David Maria Henry Kate Simon Laura Felix Grace Martin Olivia Victor Helen George Nina Robert Sofia
  Daniel Amy Frank Ruth Carl Irene Walter Diana Louis Ivy Arthur Zoe Philip`);

export const englishCities: readonly string[] = list(`
  Oslo Rome Paris Berlin Madrid London Vienna Lisbon Prague Dublin Athens Cairo Tokyo Lima Delhi Boston Denver Milan
  Geneva Warsaw Helsinki Sydney Toronto Nairobi Hanoi Quebec Porto Bergen Lyon Krakow Seville Turin`);

export const chineseCities: readonly string[] = list(`
  北京 上海 广州 深圳 杭州 南京 武汉 成都 西安 重庆 天津 苏州 青岛 大连 厦门 长沙 昆明 济南 拉萨 福州 桂林 洛阳
  宁波 沈阳 合肥 郑州 温州 海口`);

/** Chinese names are put together from a family name and a given name. */
export const familyNames: readonly string[] = list("王 李 张 刘 陈 杨 赵 吴 周 徐 孙 朱 胡 郭 何 高 林 罗 梁 宋 小");
export const givenNames: readonly string[] = list(`
  明 芳 伟 洋 静 帆 敏 磊 航 丽 悦 琳 军 涛 雨 飞 轩 兰 宇 佳 宁 梅 远 文 云 晨 甜 青 梦 玉 美 华 刚 雪 强 波`);

/** Ordinary words that stories rarely use; copying exercises draw on them, so that no entry of the vocabulary stays untrained. */
export const plainEnglish: readonly string[] = list(`
  the a an and or not is are was were be been will would could should can may must do does did has have had go goes
  went come came see saw look find found give gave take took make made send sent bring put get got let say said
  tell told ask know think feel want need hope help call keep hold stay wait open close start stop move turn run
  walk sit stand read write play work live eat drink sleep buy sell pay cost break broke broken lose lost late
  early soon now then today tomorrow yesterday always never often again still also only just very too more most
  less least few many much some any all each every other another same new old young good bad big small long short
  high low warm cold hot fast slow happy sad sorry kind dear hello please thanks welcome yes no true false name
  city job item order count date time day week month year hour minute number word line list letter note card paper
  post parcel price money shop office home house room door window street road river sea hill tree flower garden sun
  moon star rain snow wind fire water bread milk tea sugar salt friend family mother father sister brother child
  people team boss guest client customer meet meeting lunch dinner party school class lesson game song story
  picture way place thing part end side front back left right up down in out on off over under near far from to for
  with without by at of about after before between who what when where why how which I you he she it we they me him
  her us them my your his our their this that these those here there one two three four five six seven eight nine
  ten eleven twelve colour fruit animal slip appointment calendar reply person colleague complaint talk next joins
  hired politely`);

/** Common Chinese words for the same purpose. */
export const plainChinese: readonly string[] = list(`
  我 你 您 他 她 它 我们 你们 他们 这 那 这个 那个 哪里 什么 谁 怎么 为什么 多少 几 是 不 没有 有 在 和 与 或 的 了
  着 过 吗 呢 吧 很 太 最 更 也 都 还 就 才 又 再 已经 正在 马上 今天 明天 昨天 早上 中午 下午 晚上 上午 现在 以后
  以前 年 月 日 点 分 星期 时间 地点 日期 姓名 城市 职业 颜色 数量 商品 物品 订单 收件 发货 快递 包裹 地址 电话
  价格 钱 元 买 卖 送 寄 寄出 收到 想 要 需要 请 谢谢 抱歉 对不起 您好 你好 欢迎 再见 帮忙 问题 回答 回复 客户 客人
  公司 分部 加入 新 旧 大 小 长 短 高 低 多 少 好 坏 快 慢 早 晚 远 近 冷 热 来 去 到 从 向 给 把 被 让 用 做 看 听
  说 读 写 问 找 拿 放 开 关 走 跑 坐 站 吃 喝 睡 玩 学习 工作 生活 喜欢 知道 觉得 认识 见面 开会 聚会 参加 准备
  安排 一起 朋友 家人 爸爸 妈妈 哥哥 姐姐 弟弟 妹妹 孩子 同学 同事 老板 学校 教室 商店 医院 车站 机场 公园 房间 门
  窗 路 河 海 山 树 花 草 太阳 月亮 星星 雨天 雪 风 火 水 茶 米饭 面条 牛奶 糖 盐 名 位 个 只 件 张 本 支 条 一名
  一位 上 下 左 右 前 后 里 外 中间 旁边 句子 词语 字 列表 记录 卡片 便条 信 我们的 您的 会 能 可以 应该 必须 但是
  因为 所以 如果 那么 然后 最后 第一 第二 还是 每天 经常 总是 从不 东西 部分 尽快 很快 新的 刚刚 出门 礼貌 客气
  投诉 店家 留言 整理 日程 日历 约会 会议室 担任 介绍 填写 上班 上周 下周 付钱 缺 选择 打开 列成 根据 一定 送到
  怎么样 为了 大家 出差 开始 说明 结束 成为 这位 次数 店里 些 位置 安静 简单 重要 方便 当然 其他 以及 关于 记下`);

/** Signs for copying exercises. */
export const signs: readonly string[] = list(
  `. , ; : ! ? - / + = @ # * & % ( ) [ ] { } < > | " ' _ ~ $ ^ 。 ， ； ： ！ ？ 、 （ ） 【 】 《 》 “ ” ｜ ＋ ＠ ＝ — · → ← ★`,
);
