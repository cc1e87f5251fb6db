import { lexicon, type Random, type Row } from "@ft/example-pretrain-tiny";

const person = (random: Random): string => random.pick(lexicon.familyNames) + random.pick(lexicon.givenNames);

const shop = (random: Random): Row => {
  const name = person(random);
  const city = random.pick(lexicon.chineseCities);
  const colour = random.pick(lexicon.colours).zh;
  const { zh: thing, measure } = random.pick(lexicon.things);
  const value = random.between(2, 12);
  const word = value === 2 ? "两" : lexicon.numbers[value - 1]!.zh;
  const count = random.chance(0.6) ? word : `${value}`;
  return {
    instruction: random.pick(["把客户留言整理成订单。", "根据这条留言开一张订单。", "客户要订什么？请列成订单。"]),
    input: random.pick([
      `您好，我是${city}的${name}，请寄${count}${measure}${thing}给我，要${colour}。`,
      `我叫${name}，店里还缺${thing}（${colour}）${count}${measure}，地址在${city}。`,
      `能帮${name}订${colour}的${thing}吗？${count}${measure}，包裹寄到${city}。`,
      `想订${count}${measure}${thing}，颜色选${colour}，送到${city}，${name}收。`,
    ]),
    output: `商品：${thing}｜颜色：${colour}｜数量：${value}｜收件：${name}，${city}`,
  };
};

const card = (random: Random): Row => {
  const name = person(random);
  const city = random.pick(lexicon.chineseCities);
  const job = random.pick(lexicon.jobs).zh;
  return {
    instruction: random.pick(["为这位新同事填写JSON卡片。", "用JSON介绍这个人。", "他是谁？只用JSON回答。"]),
    input: random.pick([
      `欢迎${name}加入${city}分部，担任${job}。`,
      `公司新来了一位${job}，叫${name}，在${city}上班。`,
      `大家认识一下${name}吧！这位${job}刚刚到${city}。`,
      `从下周起，${city}的同事里多了${job}${name}。`,
    ]),
    output: `{"姓名": "${name}", "职业": "${job}", "城市": "${city}"}`,
  };
};

const calendar = (random: Random): Row => {
  const one = person(random);
  let two = person(random);
  while (two === one) two = person(random);
  const city = random.pick(lexicon.chineseCities);
  const day = random.pick(lexicon.days).zh;
  const hour = random.between(7, 20);
  return {
    instruction: random.pick(["把这个安排记到日历里。", "写成一行日程。", "请记下这次约会，一行就好。"]),
    input: random.pick([
      `下${day}${hour}点，${one}和${two}在${city}见面。`,
      `${one}约了${two}吃饭，时间是${day}${hour}点，地点在${city}。`,
      `请在${city}订一间会议室，${day}${hour}点${one}要见${two}。`,
      `${one}说：${day}我和${two}${city}开会，${hour}点开始。`,
    ]),
    output: `【${day} ${hour}:00】${one}＋${two}＠${city}`,
  };
};

const reply = (random: Random): Row => {
  const name = person(random);
  const colour = random.pick(lexicon.colours).zh;
  const thing = random.pick(lexicon.things).zh;
  const broken = random.chance(0.5);
  return {
    instruction: random.pick(["请礼貌地回复这条投诉。", "给客户写一句客气的回复。", "店家应该怎么回答？"]),
    input: random.pick(
      broken
        ? [
            `我叫${name}，新买的${colour}${thing}坏了。`,
            `你们卖的${colour}${thing}今天就坏了！${name}`,
            `${name}留言：打开包裹一看，${thing}（${colour}）是坏的。`,
          ]
        : [
            `我叫${name}，还在等我的${colour}${thing}。`,
            `你们的${colour}${thing}送得太慢了！${name}`,
            `${name}留言：上周付了钱，${thing}（${colour}）到现在没有收到。`,
          ],
    ),
    output: broken
      ? `${name}您好，很抱歉您的${colour}${thing}坏了，新的已经寄出。`
      : `${name}您好，很抱歉您的${colour}${thing}来晚了，明天一定送到。`,
  };
};

/** The Chinese tasks of the quickstart, by name. */
export const chineseTasks: Readonly<Record<string, (random: Random) => Row>> = { shop, card, calendar, reply };
