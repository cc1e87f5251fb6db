"""Pairs of predictions and references for the goldens of metrics.

    python tools/goldens/eval_pairs.py

Writes data/eval-pairs/pairs.json. The texts are those of examples/quickstart (English and Chinese) and docs/decisions, changed
by a seeded generator: words or characters left out, swapped, repeated, replaced, misspelt. Beside them stand texts made up to
be difficult: empty, very long, nothing but white space, emoji, control characters, random code points. Only code points of
Unicode 14, which every supported Node knows.
"""

import json
import random
import unicodedata
from pathlib import Path

from common import DATA, fresh_folder

ROOT = Path(__file__).resolve().parents[2]


def load() -> dict:
    return json.loads((DATA / "eval-pairs" / "pairs.json").read_text(encoding="utf-8"))


def sources() -> tuple[list[dict], list[str]]:
    rows = json.loads((ROOT / "examples/quickstart/data/train.json").read_text(encoding="utf-8"))
    # a page that is added later changes no pair
    pages = sorted(page for page in (ROOT / "docs/decisions").glob("0*.md") if page.name < "0013")
    lines = [line.strip() for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    return rows, [line for line in lines if 20 < len(line) < 260]


def changed(rng: random.Random, text: str, others: list[str]) -> str:
    """Something a model might have written in place of `text`."""
    if rng.random() < 0.1:
        return text
    chinese = sum("\u4e00" <= c <= "\u9fff" for c in text) * 3 > len(text)
    units, glue = (list(text), "") if chinese else (text.split(" "), " ")
    for _ in range(rng.choice([1, 1, 2, 3, 5, 9])):
        if not units:
            break
        i, j = rng.randrange(len(units)), rng.randrange(len(units))
        match rng.randrange(9):
            case 0:
                del units[i]
            case 1:
                units[i], units[j] = units[j], units[i]
            case 2:
                units.insert(i, units[j])
            case 3:
                other = rng.choice(others)
                units[i] = rng.choice(other if chinese else other.split(" "))
            case 4 if units[i]:
                at = rng.randrange(len(units[i]))
                units[i] = units[i][:at] + rng.choice("aeinrst-.,'42 ") + units[i][at + 1 :]
            case 5:
                units[i] = units[i].upper() if rng.random() < 0.5 else units[i].lower()
            case 6:
                units[i] = units[i].strip(".,:;!?。，：！？、")
            case 7:
                units[i] += rng.choice([".", ",", "!", " ?", "...", "。", "！", "”", " - ", "%"])
            case 8:
                units[i:] = units[i : i + 4]
    return glue.join(units)


def edge_cases() -> list[tuple[str, list[str]]]:
    long_english = " ".join(f"word{n * n % 97} and {n},{n % 7}" for n in range(1500))
    long_chinese = "".join(chr(0x4E00 + n * n % 89) for n in range(2000))
    return [
        ("", [""]),
        ("", ["a reference"]),
        ("a prediction", [""]),
        ("", ["", "a second reference"]),
        (" ", [" "]),
        (" \t\n\u3000\u00a0", ["\u2003\u2028"]),
        ("\x1c\x1d a \x1e\x1f b\x85", ["a b"]),
        ("a\ufeffb c\u200bd", ["a b c d"]),
        ("a", ["a"]),
        ("a b", ["a b"]),
        ("a b c", ["a b c", "a b"]),
        ("a b c d", ["a b c d e", "a b c", "a b c d"]),
        ("the the the the", ["the cat the", "the the dog"]),
        ("The cat sat on the mat.", ["A cat sat on a mat"]),
        ("the 猫 the猫 an ábc á the_b", ["猫 the猫 ábc á the_b"]),
        ("1,000.50 and 3-4, .5 5. ,5 5,", ["1,000.50 and 3 - 4 , .5 5 . , 5 5 ,"]),
        ("a.b,c-d 1-2 x-1 1-x", ["a . b , c-d 1 - 2 x-1 1 - x"]),
        ("..,,--''", [". . , , -- ''"]),
        ("x.y.z...", ["x . y . z ..."]),
        ("&quot;a&quot; &amp; &lt;b&gt; &amp;quot;", ['"a" & <b> "']),
        ("a <skipped> b<skip", ["a b < skip"]),
        ("a hyphen-\nated line\nbreak-\n", ["a hyphenated line break-"]),
        ("  .5 trailing  \n\r\n", [".5 trailing"]),
        ("tab\tand\vvertical\fform", ["tab and vertical form"]),
        ("nul\x00in\x01side\x7f it", ["nul in side it"]),
        ("\u200fשלום \u202eעולם", ["שלום עולם"]),
        ("٣٫١٤ و ۱۲٬۳۴۵", ["٣٫١٤ و ۱۲٬۳۴۵."]),
        ("½ cup, x² ≠ 2x; ∑∞ → €5.00 £3 ¥", ["½ cup x² ≠ 2x ; ∑ ∞ → € 5.00 £ 3"]),
        ("“quoted” – dash — ‘single’ …", ['"quoted" - dash - \'single\' ...']),
        ("Ⅷ, ① ② ③. 五，六。", ["Ⅷ ① ② 五 六"]),
        ("👍🏽 👨‍👩‍👧 🇩🇪 ☕️!", ["👍 👨‍👩‍👧‍👦 🇫🇷 ☕!"]),
        ("🙂🙂🙂", ["🙂🙂"]),
        ("𠀀𠀁 𝔘𝔫𝔦 😀.😀,1", ["𠀀 𠀁 𝔘𝔫𝔦 😀 . 😀 , 1"]),
        ("İstanbul ẞ ΑΣ ΟΔΟΣ. ΣΑΣ ǅ ﬀ K", ["i̇stanbul ß ας οδος. σας ǆ ff k"]),
        ("é e\u0301 ñ n\u0303", ["e\u0301 é n\u0303 ñ"]),
        ("ＦＵＬＬ ｗｉｄｔｈ！？（１）", ["FULL width!?(1)"]),
        ("日本語のテキスト、カタカナ。ﾊﾝｶｸ 한국어 텍스트", ["日本語テキスト。カタカナ 한국어"]),
        ("中文English混合123.5，测试", ["中文 English 混合 123.5 ， 测试"]),
        ("(hi) 'hi' hi! !hi !! ! “hi”", ["( hi ) ' hi ' hi ! ! hi"]),
        ("{[(<a>)]} @b #c $d %e ^f *g +h =i ~j `k |l \\m /n _o", ["a b c d e f g h i j k l m n o"]),
        ("http://a.b/c?d=1,2&e=3#f me@x.org", ["http://a.b/c?d=1&e=3 me@x.org"]),
        (long_english[:9000], [long_english[200:9500]]),
        (long_chinese, [long_chinese[7:] + "。"]),
        ("same " * 700, ["same " * 500, "other"]),
        ("x" * 3000, ["x" * 2500]),
    ]


def random_text(rng: random.Random) -> str:
    """Code points of all of Unicode 14, letters and spaces among them so that something matches."""
    out = []
    while len(out) < rng.randrange(4, 40):
        limit = rng.choice([0x80, 0x300, 0x3100, 0x10000, 0x20000])
        c = chr(rng.randrange(1, limit))
        if rng.random() < 0.4:
            c = rng.choice("ab 1.,-。中 ")
        if unicodedata.category(c) not in ("Cn", "Cs", "Co"):
            out.append(c)
    return "".join(out)


def make_pairs() -> list[tuple[str, list[str]]]:
    rng = random.Random(7)
    rows, lines = sources()
    answers = [row["output"] for row in rows]
    questions = [row["input"] for row in rows]
    pairs = [(changed(rng, text, answers), [text]) for text in answers]
    pairs += [(changed(rng, text, questions), [text]) for text in questions[:200]]
    pairs += [(changed(rng, text, lines), [text]) for text in rng.sample(lines, min(150, len(lines)))]
    for text in questions[200:400]:
        several = [text, *(changed(rng, text, questions) for _ in range(rng.choice([1, 1, 2, 3])))]
        rng.shuffle(several)
        pairs.append((changed(rng, text, questions), several))
    for _ in range(60):
        text = random_text(rng)
        pairs.append((changed(rng, text, answers), [text]))
    return pairs + edge_cases()


def write_lines(path: Path, key: str, items: list, **more) -> None:
    """A list with an item a line, so that a change shows as one line."""
    text = ",\n".join(json.dumps(item, ensure_ascii=False) for item in items)
    head = "".join(f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)},\n" for k, v in more.items())
    path.write_text("{\n" + head + f"{json.dumps(key)}: [\n{text}\n]\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    pairs = make_pairs()
    single = [i for i, (_, refs) in enumerate(pairs) if len(refs) == 1]
    hard = range(len(pairs) - len(edge_cases()), len(pairs))
    corpora = {
        "all": list(range(len(pairs))),
        "single": single[:300],
        "chinese": [i for i in single[:830] if any("\u4e00" <= c <= "\u9fff" for c in pairs[i][1][0])],
        "several": [i for i, (_, refs) in enumerate(pairs) if len(refs) == 2],
        "hard": list(hard),
        "empty": [hard[0], hard[1]],
        "words": [hard[8], hard[9], hard[10]],
        "bigrams": [hard[9], hard[13]],
    }
    write_lines(fresh_folder("eval-pairs") / "pairs.json", "pairs", pairs, corpora=corpora)
    print(len(pairs), {name: len(indices) for name, indices in corpora.items()})
