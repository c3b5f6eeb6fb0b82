/**
 * Attention of sequences of several lengths that stand behind each other, over keys that do so too, or that lie in pages.
 *
 * On CUDA, in halves, one kernel finds its tiles on the device (`codegen/cuda/algorithms/ragged.ts`). Elsewhere, and where a gradient is wanted, it is attention with a mask
 * over all pairs, which is what it means. Mirrors FlashAttention's `flash_attn_varlen_func` with a `block_table`.
 */
import { bool, float32, int64 } from "../core/mod.ts";
import { shapeToText, type Size, sizeEq, sizeMod, sizeMul, sizeSub } from "../symbolic/mod.ts";
import { defineOp, type MetaInput } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { SampleGenerator, TensorSample } from "./samples.ts";
import type { TensorValue } from "./value.ts";

/** For each row its sequence and its position there, and whether it belongs to one; [rows] each. */
interface Places {
  readonly sequence: TensorValue;
  readonly position: TensorValue;
  readonly valid: TensorValue;
}

function ranges(rows: Size, offsets: TensorValue, F: Functional): Places {
  const count = offsets.shape[0] ?? 1;
  const row = F.arange(rows, { device: offsets.device, dtype: int64 });
  const ends = offsets.narrow(0, 1, Number(count) - 1);
  const sequence = ends.unsqueeze(0).le(row.unsqueeze(1)).sum([1]);
  const held = sequence.clamp(null, Number(count) - 2);
  const valid = offsets.select(0, 0).le(row).bitwiseAnd(offsets.select(0, -1).gt(row));
  return { sequence: held, position: offsets.indexSelect(0, held).neg().add(row), valid };
}

function lengthsOf(offsets: TensorValue): TensorValue {
  const count = Number(offsets.shape[0]);
  return offsets.narrow(0, 1, count - 1).sub(offsets.narrow(0, 0, count - 1));
}

interface Keys extends Places {
  readonly key: TensorValue;
  readonly value: TensorValue;
  readonly lengths: TensorValue;
}

/** The keys of all sequences behind each other, pages taken from where the table says. */
function gathered(key: TensorValue, value: TensorValue, lengths: TensorValue, table: TensorValue, F: Functional): Keys {
  const [sequences = 1, columns = 1] = table.shape;
  const page = key.shape[1] ?? 1;
  const room = sizeMul(columns, page);
  const position = F.arange(room, { device: table.device, dtype: int64 });
  const valid = lengths.unsqueeze(1).gt(position.unsqueeze(0));
  // What a table has behind a sequence's last page is no page.
  const used = valid.reshape([sequences, columns, page]).select(2, 0);
  const pages = F.where(used, table, table.zerosLike()).reshape([-1]);
  const rows = sizeMul(sequences, room);
  const take = (t: TensorValue): TensorValue =>
    t.indexSelect(0, pages).reshape([rows, t.shape[2] ?? 1, t.shape[3] ?? 1]);
  const sequence = F.arange(sequences, { device: table.device, dtype: int64 }).unsqueeze(1).expand([sequences, room]);
  return {
    key: take(key),
    value: take(value),
    lengths,
    sequence: sequence.reshape([-1]),
    position: position.unsqueeze(0).expand([sequences, room]).reshape([-1]),
    valid: valid.reshape([-1]),
  };
}

function checkOffsets(where: string, name: string, t: MetaInput, rank: number): void {
  if (t.shape.length !== rank || !t.dtype.isIntegral || t.dtype === bool) {
    throw new TypeError(
      `${where}: ${name} must be ${rank === 1 ? "a vector" : "a matrix"} of integers, got ${t.dtype.name}${
        shapeToText(t.shape)
      }`,
    );
  }
}

function numbers(g: SampleGenerator, values: readonly number[], shape: readonly number[]): TensorSample {
  return g.tensor([...shape], { dtype: int64, values: [...values], requiresGrad: false });
}

defineOp({
  schema:
    "tessera::ragged_attention(Tensor query, Tensor key, Tensor value, Tensor query_offsets, Tensor key_offsets, Tensor? table, float scale, int left=-1, int right=-1, int most_keys=0) -> Tensor",
  doc:
    "Attention of sequences behind each other: queries [rows, heads, width], offsets [sequences + 1]; keys alike, or pages [pages, size, heads, width] with a table [sequences, columns] and lengths [sequences]. A query sees left keys before its place and right behind it; negative: all.",
  meta: ({ query, key, value, queryOffsets, keyOffsets, table }) => {
    const where = "ragged_attention";
    const rank = table === null ? 3 : 4;
    const [heads, width] = [query.shape[1] ?? 1, query.shape[2] ?? 1];
    const [shared, keyWidth] = [key.shape[rank - 2] ?? 1, key.shape[rank - 1] ?? 1];
    if (
      query.shape.length !== 3 || key.shape.length !== rank || value.shape.length !== rank ||
      !sizeEq(width, keyWidth) || !sizeEq(shared, value.shape[rank - 2] ?? 1)
    ) {
      throw new TypeError(
        `${where}: needs queries [rows, heads, width] and keys and values ${
          table === null ? "[rows, heads, width]" : "[pages, size, heads, width]"
        }, got ${shapeToText(query.shape)}, ${shapeToText(key.shape)} and ${shapeToText(value.shape)}`,
      );
    }
    if (!sizeEq(sizeMod(heads, shared), 0)) {
      throw new TypeError(`${where}: ${heads} heads of queries cannot share ${shared} heads of keys`);
    }
    checkOffsets(where, "query_offsets", queryOffsets, 1);
    checkOffsets(where, table === null ? "key_offsets" : "lengths", keyOffsets, 1);
    const sequences = sizeSub(queryOffsets.shape[0] ?? 1, 1);
    const expected = table === null ? queryOffsets.shape[0] ?? 1 : sequences;
    if (!sizeEq(keyOffsets.shape[0] ?? 0, expected)) {
      throw new TypeError(
        `${where}: ${sequences} sequences of queries need ${expected} ${
          table === null ? "offsets" : "lengths"
        } of keys, got ${keyOffsets.shape[0]}`,
      );
    }
    if (table !== null) {
      checkOffsets(where, "table", table, 2);
      if (!sizeEq(table.shape[0] ?? 0, sequences)) {
        throw new TypeError(`${where}: ${sequences} sequences need as many rows of the table, got ${table.shape[0]}`);
      }
    }
    return { shape: [query.shape[0] ?? 1, heads, value.shape[rank - 1] ?? 1], dtype: query.dtype };
  },
  decompose: ({ query, key, value, queryOffsets, keyOffsets, table, scale, left, right }, F) => {
    const rows = ranges(query.shape[0] ?? 1, queryOffsets, F);
    const keys: Keys = table === null
      ? { key, value, lengths: lengthsOf(keyOffsets), ...ranges(key.shape[0] ?? 1, keyOffsets, F) }
      : gathered(key, value, keyOffsets, table, F);
    const behind = keys.lengths.sub(lengthsOf(queryOffsets)).indexSelect(0, rows.sequence);
    const place = rows.position.add(behind).unsqueeze(1), at = keys.position.unsqueeze(0);
    let mask = rows.sequence.unsqueeze(1).eq(keys.sequence.unsqueeze(0));
    mask = mask.bitwiseAnd(rows.valid.unsqueeze(1)).bitwiseAnd(keys.valid.unsqueeze(0));
    if (Number(left) >= 0) mask = mask.bitwiseAnd(place.sub(left).le(at));
    if (Number(right) >= 0) mask = mask.bitwiseAnd(place.add(right).ge(at));
    const heads = (t: TensorValue): TensorValue => t.transpose(0, 1);
    const enableGqa = Number(query.shape[1]) !== Number(keys.key.shape[1]);
    return F.scaledDotProductAttention(heads(query), heads(keys.key), heads(keys.value), mask, 0, false, {
      scale,
      enableGqa,
    }).transpose(0, 1).contiguous();
  },
  samples: (g) =>
    g.dtype === float32
      ? [
        {
          args: {
            query: g.tensor([5, 4, 8]),
            key: g.tensor([7, 2, 8]),
            value: g.tensor([7, 2, 8]),
            queryOffsets: numbers(g, [0, 2, 2, 5], [4]),
            keyOffsets: numbers(g, [0, 3, 4, 7], [4]),
            table: null,
            scale: 0.5,
            right: 0,
          },
        },
        {
          args: {
            query: g.tensor([2, 2, 8]),
            key: g.tensor([5, 4, 2, 8]),
            value: g.tensor([5, 4, 2, 8]),
            queryOffsets: numbers(g, [0, 1, 2], [3]),
            keyOffsets: numbers(g, [6, 3], [2]),
            table: numbers(g, [4, 1, 0, -1], [2, 2]),
            scale: 0.5,
            left: 3,
            right: 0,
          },
        },
      ]
      : [],
});
