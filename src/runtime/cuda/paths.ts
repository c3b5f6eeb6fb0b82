/**
 * Where libcuda and nvrtc may lie.
 *
 * Enters: a few environment variables and the file system, behind {@linkcode SearchWorld} so that tests can build a world of
 * their own. Leaves: file names in the order in which they should be tried; nothing is opened here. Order: TESSERA_CUDA_PATH,
 * LD_LIBRARY_PATH, the toolkits under /usr/local, pip's folders of VIRTUAL_ENV and of the python3 on PATH, and
 * at last bare names, which the dynamic linker resolves. Python is never run: pip's layout is `nvidia/<package>/lib` in a
 * site-packages folder that can be found by name.
 */

import { readEnvironment } from "../../core/config.ts";

/** What the search sees of the machine. */
export interface SearchWorld {
  readonly environment: (
    name: "TESSERA_CUDA_PATH" | "LD_LIBRARY_PATH" | "PATH" | "VIRTUAL_ENV" | "HOME",
  ) => string | null;
  /** Names in a folder; empty if it cannot be read. */
  readonly list: (folder: string) => readonly string[];
  /** The path without links; null if there is no such file. */
  readonly real: (path: string) => string | null;
  /** Put before absolute standard paths, for tests. */
  readonly root: string;
}

/** The machine as it is. */
export const machine: SearchWorld = {
  environment: readEnvironment,
  list: (folder) => {
    try {
      return [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();
    } catch {
      return [];
    }
  },
  real: (path) => {
    try {
      return Deno.realPathSync(path);
    } catch {
      return null;
    }
  },
  root: "",
};

const DRIVER_NAMES: readonly string[] = ["libcuda.so.1", "libcuda.so"];
const NVRTC_PATTERN = /^libnvrtc\.so\.(1[1-3])(?:\.(\d+))*$/;
/** Majors of nvrtc that this runtime knows, newest first. */
const NVRTC_MAJORS: readonly number[] = [13, 12, 11];

/** Where drivers are installed besides the linker's own folders: Debian, Red Hat, containers, WSL, NixOS. */
const DRIVER_FOLDERS: readonly string[] = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/usr/lib64",
  "/usr/lib",
  "/usr/local/nvidia/lib64",
  "/usr/local/nvidia/lib",
  "/usr/lib/wsl/lib",
  "/run/opengl-driver/lib",
];

/** Files that may be the driver library, best first. Ends with bare names for the dynamic linker. */
export function driverCandidates(world: SearchWorld = machine): string[] {
  const out: string[] = [];
  const own = world.environment("TESSERA_CUDA_PATH");
  if (own !== null) { for (const folder of libraryFoldersOf(own)) pushFiles(world, out, folder, DRIVER_NAMES); }
  // The linker knows LD_LIBRARY_PATH and ldconfig's names. Folders come after it, so that no stub of a toolkit wins.
  out.push(...DRIVER_NAMES);
  for (const folder of pathList(world.environment("LD_LIBRARY_PATH"))) pushFiles(world, out, folder, DRIVER_NAMES);
  for (const folder of DRIVER_FOLDERS) pushFiles(world, out, world.root + folder, DRIVER_NAMES);
  return unique(out);
}

/** A file that may be nvrtc. */
export interface NvrtcCandidate {
  readonly path: string;
  /** The major version in its name. */
  readonly major: number;
  /** The library of built-in functions that belongs to it and has to be loaded first; null if the linker must find it. */
  readonly builtins: string | null;
  /** Named by TESSERA_CUDA_PATH, so it goes before all others. */
  readonly chosen: boolean;
}

/** Folders in which a library of the toolkit may lie, best first: those that the user names, then toolkits, pip's folders, the system's. */
function toolkitFolders(world: SearchWorld, pipPackage: string): { folders: string[]; chosen: readonly string[] } {
  const own = world.environment("TESSERA_CUDA_PATH");
  const chosen = own === null ? [] : libraryFoldersOf(own);
  const folders = [...chosen, ...pathList(world.environment("LD_LIBRARY_PATH"))];
  for (const toolkit of toolkits(world)) folders.push(...libraryFoldersOf(toolkit));
  for (const site of sitePackages(world)) folders.push(...pipFolders(world, site, pipPackage));
  for (const folder of DRIVER_FOLDERS) folders.push(world.root + folder);
  return { folders: unique(folders), chosen };
}

/** A file that may be a library which is used where it is installed. */
export interface LibraryCandidate {
  readonly path: string;
  /** The major version in its name. */
  readonly major: number;
}

/**
 * Files `lib<name>.so.<major>` that may be a library beside the compiler, best place first. Ends with bare names for the linker.
 *
 * @param pipPackage pip's folder of it before CUDA 13, as `cublas`
 */
export function libraryCandidates(
  name: string,
  pipPackage: string,
  majors: readonly number[],
  world: SearchWorld = machine,
): LibraryCandidate[] {
  const out: LibraryCandidate[] = [];
  // Older wheels of torch bring the libraries along.
  const torch = sitePackages(world).map((site) => `${site}/torch/lib`);
  for (const folder of [...toolkitFolders(world, pipPackage).folders, ...torch]) {
    const present = world.list(folder);
    for (const major of majors) {
      if (present.includes(`lib${name}.so.${major}`)) out.push({ path: `${folder}/lib${name}.so.${major}`, major });
    }
  }
  for (const major of majors) out.push({ path: `lib${name}.so.${major}`, major });
  return out;
}

/** Files that may be nvrtc, best place first; in one place the newest first. Ends with bare names for the linker. */
export function nvrtcCandidates(world: SearchWorld = machine): NvrtcCandidate[] {
  const { folders, chosen } = toolkitFolders(world, "cuda_nvrtc");
  const out: NvrtcCandidate[] = [];
  const seen = new Set<string>();
  for (const folder of folders) {
    const names = world.list(folder);
    const here: NvrtcCandidate[] = [];
    for (const name of names) {
      const major = NVRTC_PATTERN.exec(name)?.[1];
      if (major === undefined) continue;
      // libnvrtc.so.12 and libnvrtc.so.12.4.127 are one file.
      const real = world.real(`${folder}/${name}`) ?? `${folder}/${name}`;
      if (seen.has(real)) continue;
      seen.add(real);
      here.push({
        path: `${folder}/${name}`,
        major: Number(major),
        builtins: builtinsOf(folder, names, Number(major)),
        chosen: chosen.includes(folder),
      });
    }
    out.push(...here.sort((a, b) => b.major - a.major));
  }
  for (const major of NVRTC_MAJORS) out.push({ path: `libnvrtc.so.${major}`, major, builtins: null, chosen: false });
  return out;
}

/** nvrtc opens `libnvrtc-builtins.so.<version>` by bare name, which the linker finds only if it is loaded already. */
function builtinsOf(folder: string, names: readonly string[], major: number): string | null {
  const name = names.find((n) => n.startsWith(`libnvrtc-builtins.so.${major}.`));
  return name === undefined ? null : `${folder}/${name}`;
}

function libraryFoldersOf(base: string): string[] {
  const trimmed = base.replace(/\/+$/, "");
  return [
    trimmed,
    `${trimmed}/lib64`,
    `${trimmed}/lib`,
    `${trimmed}/targets/x86_64-linux/lib`,
    `${trimmed}/targets/sbsa-linux/lib`,
  ];
}

/** The toolkits under /usr/local, the default one first, then the newest. */
function toolkits(world: SearchWorld): string[] {
  const base = `${world.root}/usr/local`;
  const versioned = world.list(base).filter((name) => /^cuda-\d/.test(name));
  versioned.sort((a, b) => compareVersions(b.slice(5), a.slice(5)));
  return [`${base}/cuda`, ...versioned.map((name) => `${base}/${name}`)];
}

/** Folders in which pip puts packages, for the environment in force, the python3 on PATH, and the user. */
function sitePackages(world: SearchWorld): string[] {
  const prefixes: string[] = [];
  const environment = world.environment("VIRTUAL_ENV");
  if (environment !== null) prefixes.push(environment);
  for (const folder of pathList(world.environment("PATH"))) {
    for (const name of ["python3", "python"]) {
      if (!world.list(folder).includes(name)) continue;
      prefixes.push(parent(folder));
      // A link into an environment, or into the folder of the interpreter itself.
      const real = world.real(`${folder}/${name}`);
      if (real !== null) prefixes.push(parent(parent(real)));
    }
  }
  const home = world.environment("HOME");
  if (home !== null) prefixes.push(`${home}/.local`);
  const out: string[] = [];
  for (const prefix of unique(prefixes)) {
    for (const name of world.list(`${prefix}/lib`)) {
      if (!/^python3(\.\d+)?$/.test(name)) continue;
      out.push(`${prefix}/lib/${name}/site-packages`, `${prefix}/lib/${name}/dist-packages`);
      if (prefix.endsWith("/usr")) out.push(`${prefix}/local/lib/${name}/dist-packages`);
    }
  }
  return unique(out);
}

/** `nvidia/cuda_nvrtc/lib` (or another package's) of CUDA 11 and 12, `nvidia/cu13/lib` since. */
function pipFolders(world: SearchWorld, site: string, own: string): string[] {
  return world.list(`${site}/nvidia`).filter((name) => name === own || /^cu\d+$/.test(name))
    .map((name) => `${site}/nvidia/${name}/lib`);
}

function pushFiles(world: SearchWorld, out: string[], folder: string, names: readonly string[]): void {
  const present = world.list(folder);
  for (const name of names) if (present.includes(name)) out.push(`${folder}/${name}`);
}

function pathList(text: string | null): string[] {
  return (text ?? "").split(":").filter((part) => part.startsWith("/")).map((part) => part.replace(/\/+$/, ""));
}

function parent(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

function unique(items: readonly string[]): string[] {
  return [...new Set(items)];
}

/** Orders `12.4` before `12.10`. */
function compareVersions(a: string, b: string): number {
  const left = a.split(".").map(Number), right = b.split(".").map(Number);
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
