import { lexicon, type Random, type Row } from "@ft/example-pretrain-tiny";

const shop = (random: Random): Row => {
  const name = random.pick(lexicon.englishNames);
  const city = random.pick(lexicon.englishCities);
  const colour = random.pick(lexicon.colours).en;
  const thing = random.pick(lexicon.things);
  const value = random.between(2, 12);
  const count = random.chance(0.6) ? lexicon.numbers[value - 1]!.en : `${value}`;
  return {
    instruction: random.pick([
      "Turn the customer's message into an order slip.",
      "Make an order slip from this message.",
      "Which order is this? Answer with a slip.",
    ]),
    input: random.pick([
      `Hello, this is ${name} in ${city}. Please send me ${count} ${colour} ${thing.plural}.`,
      `${name} here! I need ${count} ${colour} ${thing.plural} for my shop in ${city}.`,
      `Could ${name} get ${count} ${colour} ${thing.plural} by post? The parcel goes to ${city}.`,
      `We want ${count} ${thing.plural} in ${colour}, please. Send them to ${name}, ${city}.`,
    ]),
    output: `item: ${thing.en} | colour: ${colour} | count: ${value} | to: ${name}, ${city}`,
  };
};

const card = (random: Random): Row => {
  const name = random.pick(lexicon.englishNames);
  const city = random.pick(lexicon.englishCities);
  const job = random.pick(lexicon.jobs).en;
  return {
    instruction: random.pick([
      "Fill in a JSON card for this person.",
      "Describe the new colleague as JSON.",
      "Who is it? Reply in JSON only.",
    ]),
    input: random.pick([
      `Meet ${name}, our new ${job} in ${city}.`,
      `Our ${city} office hired ${name}, a very good ${job}.`,
      `Say hello to ${name}! This ${job} just moved to ${city}.`,
      `From next week, ${name} joins the team in ${city} as ${job}.`,
    ]),
    output: `{"name": "${name}", "job": "${job}", "city": "${city}"}`,
  };
};

const calendar = (random: Random): Row => {
  const [one, two] = random.sample(lexicon.englishNames, 2);
  const city = random.pick(lexicon.englishCities);
  const day = random.pick(lexicon.days).en;
  const hour = random.between(7, 20);
  return {
    instruction: random.pick([
      "Enter this appointment in the calendar.",
      "Write the calendar line for this.",
      "Note the appointment, short and in one line.",
    ]),
    input: random.pick([
      `${one} and ${two} will meet in ${city} on ${day} at ${hour} o'clock.`,
      `Lunch with ${one} and ${two}: ${day}, ${hour} o'clock, in ${city}.`,
      `Next ${day} at ${hour}, ${one} has a talk with ${two} in ${city}.`,
      `Please book a room in ${city} for ${one} and ${two}, ${day} at ${hour}.`,
    ]),
    output: `[${day} ${hour}:00] ${one} + ${two} @ ${city}`,
  };
};

const reply = (random: Random): Row => {
  const name = random.pick(lexicon.englishNames);
  const colour = random.pick(lexicon.colours).en;
  const thing = random.pick(lexicon.things).en;
  const broken = random.chance(0.5);
  return {
    instruction: random.pick([
      "Answer this complaint politely.",
      "Write a short, kind reply to the customer.",
      "How should the shop reply?",
    ]),
    input: random.pick(
      broken
        ? [
            `Hi, my name is ${name} and my new ${colour} ${thing} is broken.`,
            `The ${colour} ${thing} you sold me broke today! Regards, ${name}`,
            `${name} writes: I opened the parcel and found a broken ${colour} ${thing}.`,
          ]
        : [
            `Hi, my name is ${name} and I still wait for my ${colour} ${thing}.`,
            `The ${colour} ${thing} you sold me is very late! Regards, ${name}`,
            `${name} writes: a week ago I paid for a ${colour} ${thing}, but nothing came.`,
          ],
    ),
    output: broken
      ? `Dear ${name}, we are sorry that your ${colour} ${thing} broke. A new one is on its way.`
      : `Dear ${name}, we are sorry that your ${colour} ${thing} is late. It will come tomorrow.`,
  };
};

/** The English tasks of the quickstart, by name. */
export const englishTasks: Readonly<Record<string, (random: Random) => Row>> = { shop, card, calendar, reply };
