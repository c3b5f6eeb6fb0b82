/** Tree specs of all kinds flatten and rebuild what they describe, and say where a value does not fit. */
import assert from "node:assert/strict";
import { flattenTree, leafCount, parseTreeSpec, unflattenTree } from "../../src/export/mod.ts";

const leaf = { type: null, context: null, children_spec: [] };
const node = (type: string, context: unknown, ...children: unknown[]): unknown => ({
  type,
  context,
  children_spec: children,
});
const spec = (tree: unknown, named = new Map<string, string[]>()) =>
  parseTreeSpec(JSON.stringify([1, tree]), "test", named);

Deno.test("flattenTree() and unflattenTree() are inverse for every kind of node", () => {
  const tree = spec(
    node(
      "builtins.tuple",
      "null",
      node("builtins.dict", '["b", "a"]', leaf, node("builtins.list", "null", leaf, leaf)),
      node("collections.namedtuple", "demo.P", leaf, leaf),
      node("collections.defaultdict", '{"default_factory_module": "x", "dict_context": ["k"]}', leaf),
      node("transformers.modeling_outputs.BaseModelOutput", '["last_hidden_state"]', leaf),
      node("demo.Data", '[["x", "y"], ["z"]]', leaf, leaf),
      node("demo.Unknown", "anything at all", leaf),
      node("builtins.tuple", "null"),
    ),
    new Map([["demo.P", ["lo", "hi"]]]),
  );
  const value = [{ b: 1, a: [2, 3] }, { lo: 4, hi: 5 }, { k: 6 }, { last_hidden_state: 7 }, { x: 8, y: 9, z: null }, [
    10,
  ], []];
  assert.equal(leafCount(tree), 10);
  assert.deepEqual(flattenTree(value, tree, "x"), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.deepEqual(unflattenTree([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], tree), value);
  assert.throws(() => unflattenTree([1], tree), /has 10 leaves, there are 1/);
});

Deno.test("flattenTree() takes keys in any order, and Maps", () => {
  const tree = spec(node("builtins.dict", '["b", "a"]', leaf, leaf));
  assert.deepEqual(flattenTree({ a: 1, b: 2 }, tree, "x"), [2, 1]);
  assert.deepEqual(flattenTree(new Map([["a", 1], ["b", 2]]), tree, "x"), [2, 1]);
  assert.throws(() => flattenTree({ a: 1 }, tree, "kwargs"), /kwargs: the field "b" is missing/);
  assert.throws(() => flattenTree({ a: 1, b: 2, c: 3 }, tree, "kwargs"), /no field "c"/);
  assert.throws(() => flattenTree([1, 2], tree, "kwargs"), /kwargs: needs an object with b, a, got an array of 2/);
});

Deno.test("unflattenTree() makes fields of hostile keys, not prototypes", () => {
  const built = unflattenTree(
    [1, 2],
    spec(node("builtins.dict", '["__proto__", "constructor"]', leaf, leaf)),
  ) as object;
  assert.equal(Object.getPrototypeOf(built), Object.prototype);
  assert.deepEqual(Object.keys(built), ["__proto__", "constructor"]);
});

Deno.test("parseTreeSpec() refuses what is no tree spec, with the place", () => {
  assert.throws(() => parseTreeSpec("[2, {}]", "t"), /protocol/);
  assert.throws(() => parseTreeSpec("{", "t"), /no readable JSON/);
  assert.throws(() => spec({ type: 3, context: null, children_spec: [] }), /\[1\]\.type: must be a text/);
  assert.throws(() => spec({ type: null, context: null, children_spec: [leaf] }), /leaf with children/);
  assert.throws(() => spec(node("builtins.dict", '["a"]', leaf, leaf)), /list of different keys/);
  assert.throws(() => spec(node("builtins.dict", '["a", "a"]', leaf, leaf)), /list of different keys/);
  assert.throws(() => parseTreeSpec("[".repeat(1000), "t"), /nested deeper/);
});
