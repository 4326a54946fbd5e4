"""How files change: damages of bytes and of text, and other import paths."""

import random
import re

EVIL = "import pathlib\npathlib.Path(__file__).with_name('code_ran').touch()\nNet = load = print\n"

ODD = (
    *("null", "[]", "{}", "-1", "0", "3", "1000000", "1" + "0" * 18, "9" * 200, ".nan", ".inf"),
    *("1e400", "true", "2026-01-01", "''", '"\\0"', "x", "os.system", "evil.Net", "evil.load"),
    *("{class_path: evil.Net}", "{class_path: os.system, init_args: {command: touch code_ran}}"),
    *('"{class_path: evil.Net}"', "repr_toolkit.cli.main", "torch.load", "torch.hub.load"),
    *("!!python/object/apply:os.system [touch code_ran]", "&a [*a]", "*a", "!!binary eA=="),
    *("!!int ''", "!!timestamp 'abc'", "!!bool x", "!!float ''", '"{class_path:\\tevil.Net}"'),
    *("[" * 2000, "a." * 500 + "a", "runs/../../etc", "/dev/zero", "x" * 100_000, "é\u2028"),
)
"""What may stand where a value stood."""

PATHS = (
    *("evil.Net", "evil.load", "os.system", "subprocess.run", "builtins.eval", "builtins.print"),
    *("functools.partial", "torch.load", "torch.hub.load", "torch.jit.load", "pickle.loads"),
    *('"\\tevil.Net"', '"evil.Net\\t"', "evil.\u200bNet", '" evil.Net"', "repr_toolkit.cli.main"),
    *('"{class_path:\\tevil.Net}"', '\'{"class_path":\\t"evil.Net"}\'', "{class_path: evil.Net}"),
    *("{class_path: torch.nn.Sequential, init_args: {args: [{class_path: evil.Net}]}}",),
    *("{class_path: functools.partial, init_args: {func: evil.load}}", "[evil.Net, evil.load]"),
    *(
        f"{'{class_path: torch.nn.Sequential, init_args: {a: ' * n}evil.Net{'}}' * n}"
        for n in (9, 999)
    ),
    *(f"{'[' * n}evil.Net{']' * n}" for n in (20, 5000)),
    "torch.nn.Identity",
    "torch.nn.utils.parametrize.ParametrizationList",
    "torchvision.io.read_file",
)
"""What may stand where an import path stood."""


def changed_bytes(draw: random.Random, content: bytes) -> bytes:
    """One to three small damages of a file."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        at = draw.randrange(max(1, len(data)))
        size = draw.choice((1, 2, 8, 64))
        how = draw.randrange(7)
        if how <= 2 and data:
            data[at] ^= 1 << draw.randrange(8)
        elif how == 3:
            data[at : at + size] = draw.randbytes(size)
        elif how == 4:
            del data[at : at + size]
        elif how == 5:
            data[at:at] = data[at : at + size]
        elif how == 6 and draw.random() < 0.5:
            del data[at:]
        else:
            del data[:size]
    return bytes(data)


def changed_text(draw: random.Random, content: bytes) -> bytes:
    """Damages of bytes, or other lines and values of YAML and JSON."""
    if draw.random() < 0.3:
        return changed_bytes(draw, content)
    lines = content.decode().split("\n")
    at = draw.randrange(len(lines))
    how = draw.randrange(6)
    if how <= 2:
        head, colon, tail = lines[at].partition(": ")
        end = "," if tail.endswith(",") else ""
        odd = draw.choice(ODD)
        lines[at] = f"{head}{colon}{odd}{end}" if colon else f"{lines[at]} {odd}"
    elif how == 3:
        del lines[at]
    elif how == 4:
        lines.insert(at, lines[draw.randrange(len(lines))])
    else:
        lines[at] = re.sub(r"\d+", lambda m: str(draw.choice((0, 7, 10**6, m[0]))), lines[at])
    return "\n".join(lines).encode(errors="surrogateescape")


def changed_paths(draw: random.Random, content: bytes) -> bytes:
    """Another import path, or what may hide one, instead of one or two, or beside it."""
    text = content.decode()
    for _ in range(draw.choice((1, 1, 2))):
        lines = text.split("\n")
        paths = [i for i, line in enumerate(lines) if re.search(r": [a-z]\w*(\.\w+)+$", line)]
        at = draw.choice(paths)
        head = lines[at].rpartition(": ")[0]
        if draw.random() < 0.2:  # beside it
            head = f"{lines[at]}\n{head.replace('class_path', 'dict_kwargs')}"
        lines[at] = f"{head}: {draw.choice(PATHS)}"
        text = "\n".join(lines)
    return text.encode()
