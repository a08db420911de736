"""Measures every section and writes docs/parity.md: `python -m tests.parity`."""

from dpeformer_jax.base.atomic_write import write_text
from tests.parity import SECTIONS
from tests.parity.comparison import Quantity
from tests.parity.released import ROOT

PAGE = ROOT / "docs/parity.md"
INTRODUCTION = """# Parity with the released program

This page compares the numbers of this program with golden numbers. The authors' released program
computed the golden numbers from weights and images that follow a rule (`tests/parity/released.py`).
The numbers of TransReID and CLIP-ReID come from these programs in the same way.
`python -m tests.parity` writes this page from the complete golden files, on a CPU in float32 with
the highest precision of products. `tests/test_parity.py` asserts every row. Without the complete
files it asserts the rows of their part in `tests/golden`.

A difference is the largest over all elements. Its measure is one of these:

- *absolute*;
- *relative* to the golden number;
- a *share* of a tolerance that depends on the array: 1e-3 l2 / sqrt(size) + 1e-7 for a gradient,
  2e-6 sqrt(size) for the l2 of parameters;
- otherwise what its name says: a count or flag of unequal elements, or an absolute difference after
  a reduction.

The tolerances are those that the golden files recommend. The files recommend none for weights and
images, selection on its own, margins, learning rates, occlusion, and statistics after five steps.
There the tolerance is a few roundings of the compared numbers. Where the files hold a float32 and a
float64 run, both are compared.

Not compared:

- the order of images within an epoch, which another random generator draws
  (`tests/test_sampling.py` checks that the order obeys the same rule);
- rankings with ties under an unstable sort;
- CMC after re-ranking in half precision, where one of 55 queries differs;
- the l2 of gradients that are zero up to rounding (of TransReID: the biases of the last norms);
- parts of image 6 in the paper's network: two of its neighbouring patches are closer than float32
  resolves.

The released program shows the person wherever an element of a cut-out is 0. This program shows the
person where the cut-out is transparent. The rows of the occlusion apply the released program's rule
to our mirrored, resized and placed cut-out.
"""


def main() -> None:
    """Writes the page, then fails if a row is outside its tolerance."""
    measured = {name: section() for name, section in SECTIONS.items()}
    write_text(PAGE, "\n".join([INTRODUCTION, *(_table(*item) for item in measured.items())]))
    outside = [row.name for rows in measured.values() for row in rows if not row.within]
    if outside:
        raise SystemExit(f"outside their tolerance: {', '.join(outside)}")


def _table(name: str, rows: list[Quantity]) -> str:
    lines = [
        f"## {name}",
        "",
        "| quantity | tolerance | difference | measure |",
        "|---|---|---|---|",
    ]
    for row in rows:
        measure = row.measure.replace("_", " ")
        lines.append(f"| {row.name} | {row.tolerance:.0e} | {row.difference:.1e} | {measure} |")
    return "\n".join(lines).replace("| 0e+00 |", "| 0 |").replace("| 0.0e+00 |", "| 0 |") + "\n"


if __name__ == "__main__":
    main()
