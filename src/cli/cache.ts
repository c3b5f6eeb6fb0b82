/**
 * What the cache of compiled code holds.
 */
import { type CacheEntry, type CacheStats, formatBytes } from "../runtime/mod.ts";

/** Entries as a table for people, the most recently used first. */
export function entriesText(entries: readonly CacheEntry[]): string {
  if (entries.length === 0) return "the cache is empty";
  const rows = entries.map((e) => [
    e.lastUsed.toISOString().slice(0, 19).replace("T", " "),
    formatBytes(e.bytes),
    e.kind,
    e.id.slice(0, 12),
    e.environment["name"] ?? "",
  ]);
  const table = [["last used (UTC)", "size", "kind", "entry", ""], ...rows];
  const widths = [0, 1, 2, 3].map((c) => Math.max(...table.map((row) => row[c]?.length ?? 0)));
  return table.map((row) => row.map((cell, c) => cell.padEnd(widths[c] ?? 0)).join("  ").trimEnd()).join("\n");
}

/** Totals by kind, and why look-ups of this process missed. */
export function statsText(stats: CacheStats, entries: readonly CacheEntry[]): string {
  const kinds = new Map<string, { count: number; bytes: number }>();
  for (const { kind, bytes } of entries) {
    const sum = kinds.get(kind) ?? { count: 0, bytes: 0 };
    kinds.set(kind, { count: sum.count + 1, bytes: sum.bytes + bytes });
  }
  return [
    `folder   ${stats.directory}${stats.temporary ? " (this process only)" : ""}`,
    `entries  ${stats.entries}`,
    `size     ${formatBytes(stats.bytes)}`,
    ...[...kinds].map(([kind, sum]) => `  .${kind.padEnd(6)} ${sum.count} entries, ${formatBytes(sum.bytes)}`),
  ].join("\n");
}
