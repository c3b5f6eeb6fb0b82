import assert from "node:assert/strict";
import { philox4x32, philoxWord } from "../../src/loops/philox.ts";

type Words = [number, number, number, number];

/** Known answers published with Random123. */
const KNOWN: readonly { counter: Words; key: [number, number]; words: Words }[] = [
  { counter: [0, 0, 0, 0], key: [0, 0], words: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8] },
  {
    counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    key: [0xffffffff, 0xffffffff],
    words: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  },
  {
    counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    key: [0xa4093822, 0x299f31d0],
    words: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  },
];

Deno.test("philox4x32() gives the published known answers", () => {
  const out = new Uint32Array(4);
  for (const { counter, key, words } of KNOWN) {
    philox4x32(counter, key, out);
    assert.deepEqual([...out], words);
  }
});

Deno.test("philoxWord() splits seed, stream and position into words as documented", () => {
  const out = new Uint32Array(4);
  const seed = -6510615555426900571n; // 0xa5a5a5a5_a5a5a5a5 as int64
  philox4x32([3, 1, 7, 0xffffffff], [0xa5a5a5a5, 0xa5a5a5a5], out);
  const position = (1n << 32n | 3n) * 4n;
  const stream = BigInt.asIntN(64, 0xffffffff_00000007n);
  for (let i = 0; i < 4; i++) assert.equal(philoxWord(seed, stream, position + BigInt(i)), out[i]);
});

Deno.test("philoxWord() gives the same word for numbers and bigints, in any order of calls", () => {
  const forwards = Array.from({ length: 12 }, (_, i) => philoxWord(5, 2, i));
  const backwards = Array.from({ length: 12 }, (_, i) => philoxWord(5n, 2n, BigInt(11 - i))).reverse();
  assert.deepEqual(forwards, backwards);
  assert.notEqual(philoxWord(6, 2, 0), forwards[0]);
  assert.notEqual(philoxWord(5, 3, 0), forwards[0]);
});
