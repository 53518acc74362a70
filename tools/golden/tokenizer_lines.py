"""Text for the tokenizer fixtures: the lines that every tokenizer encodes, and the sentences it is trained on.

Everything here was written for this purpose. Non-ASCII text is escaped so that no editor or normaliser can change it.
"""
import random
import unicodedata

PROSE = [
    "The quick brown fox jumps over the lazy dog.",
    "A pruned network keeps the weights that matter and forgets the rest.",
    "Two of every four consecutive weights survive; the others become zero.",
    "She measured the entropy of each channel, and then she shuffled the channels.",
    "Where is the nearest library, and when does it open?",
    "He said: \"I would rather walk than wait for the bus.\"",
    "It was raining; nevertheless, the children played outside until the evening.",
    "Nothing is smaller than it was measured to be.",
    "In the morning the baker opened the shop, and the smell of bread filled the street.",
    "The river runs from the mountains through the forest to the sea.",
    "Please read the manual before you start the machine.",
    "There were three ships in the harbour, and none of them was ready to sail.",
    "The teacher wrote the answer on the board, but nobody believed it.",
    "Sparse matrices store the values and the positions of what is not zero.",
    "The tokenizer splits the text into words, and the words into pieces.",
    "After the winter the garden was green again, and the birds returned.",
    "We counted the stars until the clouds came.",
    "The old clock in the tower struck seven, eight, nine and then it stopped.",
    "Memory bandwidth limits the speed of decoding; arithmetic limits the speed of prefill.",
    "An honest report states the perplexity, the seed and the context length.",
]

PARAGRAPHS = [" ".join(PROSE[i:i + 4]) for i in range(0, 20, 4)] + ["\n\n".join(PROSE[i:i + 2]) for i in range(1, 9, 2)]

CODE = [
    "int main(int argc, char** argv) { return argc > 1 ? 0 : 1; }",
    "for (size_t i = 0; i < n; ++i) sum += x[i] * w[i];",
    "#include <vector>\n#include <span>\n",
    "template <class T> auto f(T&& t) -> decltype(t.g());",
    "def main():\n    for i in range(10):\n        print(i, end=' ')\n",
    "    if x is None:\n        return {}\n    return [y for y in x if y % 2 == 0]",
    "import numpy as np\nW = np.zeros((48, 64), dtype=np.float32)",
    "lambda x: x**2 + 1e-05j  # comment",
    "fn main() -> Result<(), Box<dyn Error>> { Ok(()) }",
    "let mut v: Vec<&'static str> = vec![\"a\", r#\"b\"#];",
    "const f = async (x) => { await g(`${x}`); };",
    "console.log(a?.b ?? c, a === b, a !== b, ~~x, x >>> 2);",
    "SELECT name, COUNT(*) FROM t WHERE id >= 10 GROUP BY name;",
    "<html><body class=\"a b\"><p>Hi&nbsp;there</p></body></html>",
    "{\"key\": [1, 2.5, -3e10, null, true], \"nested\": {\"a\": \"\\u00e9\"}}",
    "\\begin{equation} \\sum_{i=1}^{n} x_i^2 \\end{equation}",
    "\tif err != nil {\n\t\treturn nil, err\n\t}\n",
    "$ ls -la | grep '^d' | awk '{print $9}' > out.txt 2>&1",
    "(define (fact n) (if (= n 0) 1 (* n (fact (- n 1)))))",
    "main :: IO ()\nmain = mapM_ print $ filter even [1..10]",
    "asm volatile(\"vpermw %%zmm0, %%zmm1, %%zmm2\" ::: \"zmm2\");",
    "x = y if z else -w; a |= b << 3; c ^= ~d & 0xFF",
    "/* block */ // line\n--- a/file.c\n+++ b/file.c\n@@ -1,3 +1,4 @@",
    "---\nkey: value\nlist:\n  - one\n  - two\n",
]

NUMBERS = [
    "0", "7", "12", "123", "1234", "12345", "123456", "1234567", "12345678", "123456789", "1234567890",
    "3.14159", "-0.0", "1e-10", "6.022e23", "1,234,567.89", "0x1F4A9", "0b1010", "1/2", "50%", "$9.99", "10:30:59",
    "2024-02-29T12:00:00Z", "192.168.0.1:8080", "+31 (0)45 123 45 67", "1st 2nd 3rd 4th", "v1.2.3-rc4", "a1b2c3",
    "x86_64",
    "12 345 678", "00007", "9" * 40, "1 2 3 4 5 6 7 8 9 10", "No.5", "H2O and CO2", "2+2=4",
    "\u0663\u0664\u0665 \u06f1\u06f2\u06f3 \u0966\u0967\u0968\u0969\u096a\u096b", "\u2167 \u217b \xbd \xbe \u2153",
    "\u2460\u2461\u2462 \u2469 \u24ea", "x\xb2 + y\xb3 = z\u2074", "\u2081\u2082\u2083", "\uff14\uff12\uff21\uff22",
    "\u4e00\u4e8c\u4e09\u56db\u4e94", "\U0001d7cf\U0001d7d0\U0001d7d1\U0001d7dc\U0001d7dd", "1\u06623\u096a5",
]

SPACES = [
    "", " ", "  ", "   ", "    ", "     ", "        ", " " * 17, "\t", "\t\t", "\n", "\n\n", "\n\n\n", "\r", "\r\n",
    "\r\n\r\n", "\n\r",
    " \n", "\n ", " \n ", "  \n  \n  ", "\t \t", " \t", "\t ", "\n\t", "\x0b", "\x0c", "\x0b\x0c\r",
    " a", "  a", "   a", "a ", "a  ", "a   ", " a ", "  a  ", "a b", "a  b", "a   b", "a    b", "a     b", "a\tb",
    "a\t\tb", "a \t b",
    "a\nb", "a\n\nb", "a\n\n\nb", "a\n b", "a \nb", "a  \n  b", "a\r\nb", "a\r\n\r\nb", "a\rb", "a\r\n  b\r\n",
    "a \r\n b",
    "hello world", " hello world", "  hello  world  ", "hello   world", "hello\tworld", "hello\nworld", "hello\n",
    "\nhello", "\n hello", " \nhello",
    "hello \n\n world", "word \n  \n word", "!  !", "1  2", "a  1  !", ".  \n", "x\n   \ny", "trailing tab\t",
    "\tleading tab", "  two.  spaces.  ",
    "tab\tand  spaces \t mixed\n\tline", "line one\r\nline two\r\n\r\nline four", "\n\n  indented after blank lines",
    "a\x0bb", "a\x0cb", "a\x1cb\x1db\x1eb\x1fb",
    "a\xa0b", "\xa0", "\xa0\xa0", " \xa0 ", "a\u2003b", "\u2003\u2003", "a\u2009b\u200ac", "a\u3000b", "\u3000",
    "\u3000\u5168\u89d2\u3000\u7a7a\u767d\u3000", "a\u1680b", "a\u2028b", "a\u2029b",
    "\u2028", "\u2029\u2029", "a\u0085b", "\u0085", "a\u202fb\u205fc", "a\u180eb", "a \u180e b", "\u00a0leading nbsp",
    "trailing nbsp\u00a0", "a\u2000\u2001\u2002\u2004\u2005\u2006\u2007\u2008b",
    " \u3000 \u3000x", "x \u2028 \u2029 y", "\u2003word", "word\u2003\u2003word", "!\u2003!", "7\u00a0000",
]

CONTRACTIONS = [
    "I'm", "I'M", "i'm", "we're", "we'Re", "WE'RE", "they've", "They'VE", "he'll", "HE'LL", "she'd", "SHE'D", "it's",
    "IT'S", "It'S", "don't", "DON'T", "Don'T",
    "'s", "'S", "'t", "'re", "'ve", "'m", "'ll", "'d", " 's", " 'S", "''s", "'sa", "'sS", "'llo", "'lL", "'Ll x",
    "'rE'vE", "rock'n'roll", "'tis", "o'clock",
    "y'all'd've", "it\u2019s", "I\u2019m", "we\u2019ll", "it'\u017f", "IT'\u017f", "'\u017f", " '\u017f x", "'\u017fa",
    "'\u212a", "can't've", "'90s", "the dogs' tails", "'", "''", "'''", "' ", " '", "'\n", "a'b'c", "'1", "s's's",
]

SCRIPTS = [
    # CJK
    "\u4f60\u597d\uff0c\u4e16\u754c\uff01", "\u4eca\u5929\u5929\u6c14\u5f88\u597d\u3002",
    "\u673a\u5668\u5b66\u4e60\u6a21\u578b\u7684\u526a\u679d", "\u6f22\u5b57\u4eee\u540d\u4ea4\u3058\u308a\u6587",
    "\u4e2d\u6587English\u6df7\u6392123", "\u6771\u4eac\u90fd\u6e0b\u8c37\u533a",
    "\u300c\u5f15\u7528\u300d\u3001\u300e\u4e8c\u91cd\u300f", "\u9f8d\u9f9c\u9b31", "\u3400\u3401\u3402",
    "\U00020000\U00020001\U0002a6a5", "\u8c48\u66f4\u8eca", "\u3007\u3005\u3006",
    # kana
    "\u3053\u3093\u306b\u3061\u306f\u4e16\u754c", "\u30ab\u30bf\u30ab\u30ca \u30c8 \u3072\u3089\u304c\u306a",
    "\uff8a\uff9d\uff76\uff78 \uff76\uff85", "\u304c\u304e\u3050\u3052\u3054", "\u304b\u3099\u304d\u3099",
    "\u30d1\u30d4\u30d7", "\u30cf\u309a\u30d2\u309a", "\u30fc\u301c\u3063\u30c3",
    # Hangul, precomposed and jamo
    "\uc548\ub155\ud558\uc138\uc694 \uc138\uacc4", "\ub300\ud55c\ubbfc\uad6d",
    "\ud55c\uad6d\uc5b4 \ubb38\uc7a5\uc785\ub2c8\ub2e4.", "\u1112\u1161\u11ab\u1100\u1173\u11af", "\u1100\u1161",
    "\u1100\u1161\u11a8", "\uac00\u11a8", "\u3131\u3134\u3137\u314f\u3151",
    # Cyrillic
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!",
    ("\u0421\u044a\u0435\u0448\u044c \u0436\u0435 \u0435\u0449\u0451 \u044d\u0442\u0438\u0445"
     " \u043c\u044f\u0433\u043a\u0438\u0445"
     " \u0444\u0440\u0430\u043d\u0446\u0443\u0437\u0441\u043a\u0438\u0445 \u0431\u0443\u043b\u043e\u043a."),
    "\u041a\u0438\u0457\u0432 \u0456 \u041b\u044c\u0432\u0456\u0432",
    "\u0401\u0416\u0418\u041a \u0451\u0436\u0438\u043a \u0435\u0308\u0436\u0438\u043a", "\u0438\u0306 \u0439",
    "\u0421\u0440\u0431\u0438\u0458\u0430 \u0409\u0443\u0431\u0430\u0432",
    # Greek
    "\u0393\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5 \u039a\u03cc\u03c3\u03bc\u03b5",
    "\u03b1\u03b2\u03b3\u03b4\u03b5 \u0391\u0392\u0393\u0394\u0395 \u03c2",
    "\u1f08\u03c1\u03c7\u1f74 \u1f25\u03bc\u03b9\u03c3\u03c5 \u03c0\u03b1\u03bd\u03c4\u03cc\u03c2",
    "\u03ac \u03ac \u03b1\u0301 \u1f71", "\u03bb = 2\u03c0\xb7r", "\u03a9 \u2126",
    # Arabic, Hebrew
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
    ("\u0627\u0644\u0633\u064e\u0651\u0644\u064e\u0627\u0645\u064f"
     " \u0639\u064e\u0644\u064e\u064a\u0652\u0643\u064f\u0645\u0652"),
    "\u0644\u0627 \u0625\u0644\u0647 \ufefb \ufdfa", "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
    "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd", "\u05e2\u05d1\u05e8\u05d9\u05ea 123 English",
    "\u0641\u0627\u0631\u0633\u06cc: \u06af\u0686\u067e\u0698", "\u0627\u0631\u062f\u0648 \u0632\u0628\u0627\u0646",
    # Indic and other scripts with combining marks
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e",
    "\u0915\u094d\u0937\u0924\u094d\u0930\u093f\u092f \u091c\u094d\u091e\u093e\u0928", "\u0915\u093c \u0958",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902 \u0932\u093f\u0916\u093e",
    "\u09ac\u09be\u0982\u09b2\u09be \u09ad\u09be\u09b7\u09be",
    "\u0ba4\u0bae\u0bbf\u0bb4\u0bcd \u0bae\u0bca\u0bb4\u0bbf", "\u0c24\u0c46\u0c32\u0c41\u0c17\u0c41",
    "\u0c95\u0ca8\u0ccd\u0ca8\u0ca1", "\u0d2e\u0d32\u0d2f\u0d3e\u0d33\u0d02",
    "\u0a97\u0ac1\u0a9c\u0ab0\u0abe\u0aa4\u0ac0", "\u0a2a\u0a70\u0a1c\u0a3e\u0a2c\u0a40",
    "\u0dc3\u0dd2\u0d82\u0dc4\u0dbd",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01",
    ("\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22\u0e44\u0e21\u0e48"
     "\u0e21\u0e35\u0e40\u0e27\u0e49\u0e19\u0e27\u0e23\u0e23\u0e04"),
    "\u0e25\u0e32\u0e27 \u0e9e\u0eb2\u0eaa\u0eb2\u0ea5\u0eb2\u0ea7",
    "\u1019\u103c\u1014\u103a\u1019\u102c\u1018\u102c\u101e\u102c",
    "\u1797\u17b6\u179f\u17b6\u1781\u17d2\u1798\u17c2\u179a", "\u0f56\u0f7c\u0f51\u0f0b\u0f66\u0f90\u0f51\u0f0b",
    "\u10e5\u10d0\u10e0\u10d7\u10e3\u10da\u10d8 \u10d4\u10dc\u10d0",
    "\u0540\u0561\u0575\u0565\u0580\u0565\u0576 \u056c\u0565\u0566\u0578\u0582",
    "\u12a0\u121b\u122d\u129b \u124b\u1295\u124b", "\u13e3\u13b3\u13a9", "\u182e\u1823\u1829\u182d\u1823\u182f",
    "\ua997\ua9ae",
    # long s, which case folding maps to s
    "\u017faid \u017fame \u017fay \u017fat",
    # Latin with accents, precomposed and decomposed
    "caf\xe9", "cafe\u0301", "Caf\xe9 CAF\xc9 CAFE\u0301", "na\xefve na\u0131\u0308ve nai\u0308ve",
    "\xc5ngstr\xf6m A\u030angstro\u0308m \u212bngstro\u0308m", "\xe9 \xe8 \xea \xeb",
    "e\u0301 e\u0300 e\u0302 e\u0308",
    "S\xe3o Paulo", "Za\u017c\xf3\u0142\u0107 g\u0119\u015bl\u0105 ja\u017a\u0144", "Zaz\u0307o\u0301\u0142c\u0301",
    "P\u0159\xedli\u0161 \u017elu\u0165ou\u010dk\xfd k\u016f\u0148", "Ti\u1ebfng Vi\u1ec7t",
    "Tie\u0302\u0301ng Vie\u0323\u0302t", "\u1ea5 a\u0302\u0301 \xe2\u0301 \u1ea5", "\u0130stanbul \u0131I i\u0130",
    "I\u0307",
    "stra\xdfe STRASSE \u1e9e", "\u0153uf \xe6ther \u0152 \xc6", "\xfeorn \xd0u\xf0", "\u0149 \u01c6 \u01c5 \u01c4",
    "q\u0323\u0307 q\u0307\u0323", "d\u0307\u0323 d\u0323\u0307 \u1e0d\u0307", "x\u0301\u0302\u0303\u0304\u0305",
    "\u0301 alone", "\u0301", "a\u0315\u0300\u05ae\u0300b", "Z\u0351\u036b\u0313\u036aa\u0334l\u035cg\u0337o",
    "\xf1 n\u0303 \xd1 N\u0303", "\xfc u\u0308 \xdc U\u0308", "\xe7 c\u0327 \xc7", "\xf8 o\u0338", "\u1e9b\u0323",
    "\u0344 \u0340 \u0341 \u0343", "\u0958\u0959\u095f", "\ufb1d \ufb2a", "\u2adc \u1d15e",
    # ligatures, compatibility, full width
    "\ufb01 \ufb02 \ufb00 \ufb03 \ufb04 \ufb05 \ufb06", "o\ufb03ce e\ufb03cient",
    "\uff26\uff35\uff2c\uff2c\u3000\uff37\uff29\uff24\uff34\uff28",
    "\uff46\uff55\uff4c\uff4c\uff0d\uff57\uff49\uff44\uff54\uff48", "\uff01\uff02\uff03\uff04\uff05",
    "\u338f \u339e \u33d2 \u337f", "\u2122 \xae \xa9 \u2120 \u2116", "\uff29'\uff4d", "\uff9e\uff9f",
    "\u3231 \u3299 \u32ff", "\u01f3 \u0133 \u0140",
    # mixed
    "Hello \u4e16\u754c \u043c\u0438\u0440 \u05e2\u05d5\u05dc\u05dd \U0001f30d",
    "abc\u0430\u0431\u0432\u03b1\u03b2\u03b3", "a\u4e2db\u56fdc", "1\u4e2d2\u56fd3", "\u4e2d \u56fd", " \u4e2d",
    "\u4e2d ", "\xe91\xe9", "\u65e5\u672c\u8a9e\u3068English\u3068123", "\xbfQu\xe9? \xa1S\xed!",
    "\xabBonjour\xbb, dit-il\u2026", "\u201eGuten Tag\u201c \u2013 \u201ahallo\u2018",
    "10\u20ac \xa35 \xa5100 \u20b950 \u20bf",
]

EMOJI = [
    "\U0001f600", "\U0001f600\U0001f600", "\U0001f600 \U0001f600", "a\U0001f600b", "Hello \U0001f600!", "\U0001f44d",
    "\U0001f44d\U0001f3fd", "\U0001f44d\U0001f3ff\U0001f44d\U0001f3fb", "\U0001f44b\U0001f3fc hi", "\u2764",
    "\u2764\ufe0f", "\u2764\ufe0e", "\u263a\ufe0f \u263a", "\u2708\ufe0f\u2708",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f469\U0001f3fd\u200d\U0001f4bb",
    "\U0001f3f3\ufe0f\u200d\U0001f308", "\U0001f3f4\u200d\u2620\ufe0f",
    "\U0001f469\u200d\u2764\ufe0f\u200d\U0001f48b\u200d\U0001f468",
    "\U0001f9d1\U0001f3ff\u200d\U0001f91d\u200d\U0001f9d1\U0001f3fb",
    "\U0001f1f3\U0001f1f1", "\U0001f1f3\U0001f1f1\U0001f1e9\U0001f1ea\U0001f1e7\U0001f1ea",
    "\U0001f1ef\U0001f1f5 \U0001f1f0\U0001f1f7", "\U0001f1e6",
    "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "1\ufe0f\u20e32\ufe0f\u20e3 #\ufe0f\u20e3 *\ufe0f\u20e3", "\xa9\ufe0f \xae\ufe0f \u2122\ufe0f",
    "\U0001f937\U0001f3fd\u200d\u2640\ufe0f", "\U0001f984\U0001f308\u2728", "\U0001fae0\U0001fabf",
    "\u2660\u2665\u2666\u2663", "\u2600\u2601\u2602", "\U0001f389\U0001f389\U0001f389\U0001f389\U0001f389\U0001f389",
    "\U0001f600\u200d", "\u200d", "\ufe0f", "a\ufe0fb", "\U0001f3fd",
]

ASTRAL = [
    "\U0001d518\U0001d52b\U0001d526\U0001d520\U0001d52c\U0001d521\U0001d522",
    "\U0001d4d7\U0001d4ee\U0001d4f5\U0001d4f5\U0001d4f8", "\U0001d54f \u2208 \u211d", "\U00010330\U00010331\U00010332",
    "\U00010400\U00010428", "\U00012000\U00012040", "\U00013000\U00013080", "\U00010380\U00010381",
    "\U0001d11e\U0001d122", "\U0001f701\U0001f702", "\U00010000\U00010080", "\U0001e900\U0001e922", "\U000210c1\u59b9",
    "\U0001f000\U0001f0a1", "\U000f0000\U0010fffd", "\ue000", "a\ue000b", "\uf8ff Apple", "\U00100000", "\ufffd",
    "a\ufffdb", "\ufffc",
    "\ufdd0", "\U0001fffe", "\uffff", "\U0010ffff", "\u0378", "\U000e0001x", "\U000e0100", "\u845b\U000e0100",
]

CONTROLS = [chr(c) for c in range(0x20)] + [chr(c) for c in range(0x7f, 0xa0)] + [
    "a\x00b", "\x00\x00", "a\x01\x02\x03b", "bell\x07", "back\x08space", "\x1b[31mred\x1b[0m", "del\x7f", "\x80\x81",
    "a\x9fb", "nul\x00 end\x00",
    "a\u200bb", "\u200b", "a\u200cb\u200dc", "\u2060x\u2060", "\ufeff", "\ufeffhello", "a\ufeffb", "hello\ufeff",
    "a\u00adb", "\u200e\u200fx", "\u202aabc\u202c", "\u2066x\u2069", "\u034f", "a\u034fb", "\u061c", "\u115f\u1160",
    "\u3164", "\u2800", "\ufff9a\ufffab\ufffb", "\u206a",
]

SPECIALS = [
    "<s>", "</s>", "<unk>", "<pad>", "<|endoftext|>", "<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>",
    "<|im_end|>", "<|start_story|>", "<|end_story|>",
    "<s>Hello</s>", "<s> Hello </s>", " <s>", "<s> ", "a<s>b", "a <s> b", "<s><s>", "</s></s>", "<s>\n", "\n</s>\n",
    "</ s>", "< s >", "<S>", "</s", "/s>", "<s",
    "Hello<|endoftext|>", "Hello <|endoftext|> world", "Hello<|endoftext|>world", "<|endoftext|><|endoftext|>",
    "<|endoftext|> x", "<|endoftext|>\n\nNew story", "<|endoftext", "|endoftext|>", "<|ENDOFTEXT|>",
    "<|im_start|>user\nHi there<|im_end|>\n<|im_start|>assistant\n", "<|im_start|> user", "  <|im_end|>  ",
    "<|begin_of_text|>Once upon a time", "text <|begin_of_text|> text",
    "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>", "<|eot_id|><|eot_id|>",
    "<unk>unknown<unk>", "an <unk> word", "<0x41>", "<0x0A>", "a<0xFF>b", "<|start_story|>Once upon a time, ",
    "Once<|start_story|> upon", " <|start_story|>", "The end.<|end_story|>",
    "The end. <|end_story|><|start_story|>Next", "\u2581", "\u2581\u2581", "a\u2581b", "\u2581a", " \u2581a",
    "\u2581 a", "\u2581<|start_story|>", "\u0120", "\u0120a \u010a", "\xc2\u0142", "##ing", "@@", "a</w>", "<sep>",
    "x<sep>y", "x <sep> y",
    "[CLS] [SEP] [MASK] [UNK]", "<mask>", "<|fim_prefix|>", "<|system|>",
]

# For the tokenizer whose added tokens carry every flag.
ADDED_FLAGS = [
    "<plain>", "a<plain>b", "a <plain> b", "a  <plain>  b", "<lstrip>", "a<lstrip>b", "a <lstrip> b", "a  <lstrip>  b",
    "a\n\t<lstrip>\n b", " <lstrip>", "<lstrip> ", "<rstrip>", "a<rstrip>b", "a <rstrip> b", "a  <rstrip>  b",
    "a\n<rstrip>\n\t b",
    "<both>", "a <both> b", " \n <both> \n ", "a<both>b", "<both><both>", "<both> <both>", "<rstrip> <lstrip>",
    "<rstrip>  <rstrip> <lstrip>  <lstrip>", "<lstrip> <plain> <rstrip>", "a\u3000<both>\u00a0b",
    "a\u200b<both>\u200bb",
    "word", "a word b", "words", "sword", "sword word words word.", "word word", "wordword", "word-word", "word_word",
    "word1", "1word", "\xe9word", "word\xe9", "word\u0301", "word\u4e2d", "(word)", "word's", "\nword\n", "_word",
    "word\u200d",
    "<word>", "a<word>b", "a <word> b", "a<word> b", ".<word>.", "<word><word>", "<wordl>", "a  <wordl>b",
    "a  <wordl> b", "a<wordl> b",
    "norm\xe9", "norme\u0301", "a norm\xe9 b", "anorm\xe9", "NORM\xc9", "raw\xe9", "rawe\u0301",
    "a raw\xe9 rawe\u0301 b", "dec\xe9", "dece\u0301", "xdec\xe9x dece\u0301",
    "<a>", "<b>", "<a><b>", "<a><b><c>", "<a><a><b>", "<b><a>", "<a> <b>", "tok", "token", "tokens", "tokenize tok to",
    "tokto", "ttoken", "two  spaces", "three   spaces", "four    spaces", "\xe9  \xe9", "caf\xe9<plain>cafe\u0301",
    "<plain>\xe9<lstrip>e\u0301",
    "<in ner>", "a <in ner> b", "<in  ner>", "<in\u00a0ner>", "x<nonspecial>y", " <nonspecial> ",
]

LONG = [
    "pneumonoultramicroscopicsilicovolcanoconiosis",
    "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunterbeamtengesellschaft", "a" * 100, "ab" * 60,
    "the" * 40, "A" * 33, "\xe9" * 40, "\u4e2d" * 30, "!" * 50, "-" * 64, "=" * 20, "." * 3, "." * 7, "_" * 16,
    "#" * 6, "*" * 5, "ha" * 20, "\n" * 12, " \n" * 6, " a" * 20, "xX" * 15,
    "supercalifragilisticexpialidocious", "antidisestablishmentarianism", "e" + "\u0301" * 20,
    "camelCaseIdentifierWithManyWords", "snake_case_identifier_with_many_words", "SCREAMING_SNAKE", "kebab-case-name",
    "MixedUP and lowerUPPER", "iPhone eBay McDonald",
]

SYMBOLS = [
    "https://example.org/path/to/page?query=1&lang=en#frag", "http://user:pw@host.example:8080/",
    "mailto:someone@example.com", "www.example.net", "ftp://a/b/../c%20d", "C:\\Users\\name\\file.txt",
    "/usr/local/lib/libfoo.so.1", "~/.config/x", "a@b.c", "#hashtag @mention",
    "\u2200x \u2208 \u211d: x\xb2 \u2265 0", "\u2211\u220f\u222b\u221a\u221e\u2248\u2260\u2264\u2265\xb1\xd7\xf7",
    "E = mc\xb2", "\u2202f/\u2202x \u2192 0", "A \u2286 B \u222a C \u2229 D", "\u27e8\u03c8|\u03c6\u27e9",
    "\u03b1\u2192\u03b2\u21d2\u03b3", "\u2207\xb7E = \u03c1/\u03b5\u2080", "\u250c\u2500\u2510\u2502\u2514\u2518",
    "\u2588\u2593\u2592\u2591", "\u2190\u2191\u2192\u2193", "\u2022\u25e6\u2023", "\u2026", "\u2014\u2013-\u2010",
    "\u201c\u201d\u2018\u2019", "\u2020\u2021\xa7\xb6", "\xac\xa6|", "\xb0C \xb0F", "!?", "?!", "!!!", "...", "--",
    "->", "=>", "<=>", "::", "&&", "||", "**", "//", "\\\\", "\"\"", "``", "```python\nx\n```", "((()))", "[]{}", "<>",
    "~!@#$%^&*()_+", ",.;:", "$$x$$",
    "a.b.c", "a,b,c", "a;b", "(a)", "[a]", "{a}", "\"a\"", "a!", "a?", "a...", "...a", " .", " ,", " !", ". a", ".a",
    "!a", "a/b", "a-b", "a_b", "a+b", "a=b", "a&b", "a|b", "_a_", "*a*", "**a**", "# a", "- a", "> a", "1. a", "!\n",
    ".\n\n", "?\r\n", "!!\n\n!!", " !\n", "-\n-", "a.\nb", ")\n\n(", ";\n\t}", "/\n/",
]

SHORT = [
    "a", "b", "z", "A", "Z", "ab", "the", "The", "THE", " the", " The", "Hello", "hello", " Hello", "HELLO",
    "Hello, World!", "hello, world.", "Once upon a time", "once", "and", " and", "of the", "in the", "to", "I", " I",
    "I am", "Is it?", "No.", "yes", "OK", "e.g.", "i.e.", "Mr. Smith", "U.S.A.", "etc.",
    "Tokenizer", "tokenization", "channels", " channels", "entropy", " entropy", "sparse", " sparse", "sparsity",
    " sparsity", "weights", "perplexity", "The sparse weights", "entropy and perplexity",
    "\u041f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440", " \u041f\u0440\u0438\u0432\u0435\u0442",
]


def random_lines(seed=20240229, count=70):
    """Random strings over code points that Unicode 3.2 already knew, so that no library's Unicode version matters."""
    rng = random.Random(seed)
    old = unicodedata.ucd_3_2_0
    # Five ideographs whose canonical mapping was corrected after Unicode 3.2.
    corrected = {0x2F868, 0x2F874, 0x2F91F, 0x2F95F, 0x2F9BF}
    pool = [c for c in range(0x20, 0x30000) if old.category(chr(c)) not in ("Cn", "Cs", "Co") and c not in corrected]
    low = [c for c in pool if c < 0x3000]
    marks = [c for c in low if old.category(chr(c)) == "Mn"]
    latin = [c for c in range(0x20, 0x250) if c in set(low)]
    lines = []
    for i in range(count):
        length = rng.randint(1, 12)
        text = ""
        for _ in range(length):
            kind = rng.random()
            if i % 3 == 0:
                text += chr(rng.choice(pool))
            elif i % 3 == 1:
                text += chr(rng.choice(low if kind < 0.6 else marks if kind < 0.8 else latin))
            else:
                text += chr(rng.choice(latin)) if kind < 0.7 else chr(rng.choice(low)) if kind < 0.85 else " "
        lines.append(text)
    return lines


def lines():
    """The lines of lines.json, in order, without repeats."""
    groups = [SHORT, PROSE, PARAGRAPHS, CODE, NUMBERS, SPACES, CONTRACTIONS, SCRIPTS, EMOJI, ASTRAL, CONTROLS, SPECIALS,
              ADDED_FLAGS, LONG, SYMBOLS, random_lines()]
    return list(dict.fromkeys(text for group in groups for text in group))


def corpus():
    """Training text: prose often enough for whole-word merges, scripts often enough for merges beyond ASCII."""
    return PROSE * 4 + PARAGRAPHS + CODE * 2 + SCRIPTS * 2 + EMOJI + NUMBERS + SYMBOLS + CONTRACTIONS + SHORT
