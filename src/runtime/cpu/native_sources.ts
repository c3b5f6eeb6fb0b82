/**
 * The C++ text of `native/cpu/`, imported as text so that it travels with the package and needs no file access.
 */
import abi from "../../../native/cpu/abi.h" with { type: "text" };
import runPlan from "../../../native/cpu/run_plan.cpp" with { type: "text" };
import threadPool from "../../../native/cpu/thread_pool.cpp" with { type: "text" };
import vecF64 from "../../../native/cpu/vec_f64.h" with { type: "text" };
import vecMath from "../../../native/cpu/vec_math.h" with { type: "text" };
import vecRandom from "../../../native/cpu/vec_random.h" with { type: "text" };
import vecSpecial from "../../../native/cpu/vec_special.h" with { type: "text" };
import vec from "../../../native/cpu/vec.h" with { type: "text" };

/** Headers that every translation unit may include by name. */
export const NATIVE_HEADERS: Readonly<
  Record<
    "abi.h" | "vec.h" | "vec_math.h" | "vec_f64.h" | "vec_random.h" | "vec_special.h",
    string
  >
> = {
  "abi.h": abi,
  "vec.h": vec,
  "vec_math.h": vecMath,
  "vec_f64.h": vecF64,
  "vec_random.h": vecRandom,
  "vec_special.h": vecSpecial,
};

/** Source of the thread pool. */
export const THREAD_POOL_SOURCE: string = threadPool;

/** Source of the program that runs kept plans. */
export const RUN_PLAN_SOURCE: string = runPlan;
