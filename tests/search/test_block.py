"""The definition around a line of a text, without a parser: against what a reader would mark."""

from __future__ import annotations

import pytest

from search.block import PARAGRAPH_MAX, block_around, line_starts

C = """#include <x.h>

static int helper(int a)
{
	return a;
}

static int
open_device(struct dev *d, int b)
{
	struct dev *other = d;

#ifdef X
	for (int i = 0; i < b; i++) {
		if (d->x) {
			goto out;
		}
	}
#endif
out:
	return b;
}

int last(void) { return 1; }
"""
PYTHON = """import os


class Reader:
    size = 1

    def open(
        self,
        path,
    ) -> int:
        if path:
            return 2

        return 1

    # about close
    def close(self):
        pass


def alone():
    return 3
"""
RUST = """impl Queue {
    pub fn push(&mut self, x: u8) {
        if x > 3 {
            self.items.push(x);
        }
    }

    fn len(&self) -> usize {
        self.items.len()
    }
}
"""
RUBY = """module Tree
  def self.walk(node)
    node.each do |child|
      walk(child)
    end
  end
end
"""
JS = """const a = 1;

export async function load(url) {
  const reply = await fetch(url, {
    method: "GET",
  });
  return reply;
}
"""


@pytest.mark.parametrize(
    ("text", "line", "first", "last"),
    [
        (C, 5, 3, 6),
        (C, 3, 3, 6),
        (C, 6, 3, 6),
        (C, 9, 8, 22),  # the line of the name
        (C, 11, 8, 22),
        (C, 16, 8, 22),
        (C, 18, 8, 22),  # a closing brace inside
        (C, 20, 8, 22),  # a label at the left
        (C, 21, 8, 22),
        (C, 22, 8, 22),
        (C, 23, 24, 24),  # blank, above it
        (C, 24, 24, 24),
        (PYTHON, 5, 4, 18),  # the class, for it is in none of its functions
        (PYTHON, 7, 7, 14),
        (PYTHON, 10, 7, 14),
        (PYTHON, 12, 7, 14),
        (PYTHON, 13, 7, 14),  # blank
        (PYTHON, 18, 17, 18),
        (PYTHON, 22, 21, 22),
        (PYTHON, 1, 1, 1),
        (RUST, 4, 2, 6),
        (RUST, 9, 8, 10),
        (RUST, 11, 1, 11),
        (RUBY, 4, 2, 6),
        (RUBY, 1, 1, 7),
        (JS, 5, 3, 8),
        (JS, 7, 3, 8),
        (JS, 1, 1, 1),
    ],
)
def test_the_definition_around_a_line(text: str, line: int, first: int, last: int) -> None:
    content = text.encode()
    start, end = block_around(content, line)
    lines = text.splitlines(keepends=True)
    assert content[start:end].decode() == "".join(lines[first - 1 : last])


def test_every_line_of_any_text_is_in_its_block() -> None:
    for text in (C, PYTHON, RUST, RUBY, JS, "x", "\n\n\n", "}\n}\n  {\n", "  a(\n b\nc\n" * 9):
        content = text.encode()
        starts = line_starts(content)
        assert len(starts) == len(text.splitlines())
        for number, at in enumerate(starts, 1):
            start, end = block_around(content, number)
            assert 0 <= start < end <= len(content)
            is_blank = not text.splitlines()[number - 1].strip()
            assert start <= at < end or is_blank


def test_a_paragraph_without_a_definition_is_short() -> None:
    content = b"x = 1\n" * 500
    start, end = block_around(content, 250)
    assert content[start:end].count(b"\n") <= PARAGRAPH_MAX
