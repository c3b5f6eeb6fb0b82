/** Makes models where they shall run: weights are drawn on the device, which takes a moment, not on the host, which takes minutes. */
import type { Device } from "../src/core/mod.ts";
import { dispatch, type DispatchMode, type Tensor, withMode } from "../src/tensor/mod.ts";

/** Runs `make` with tensors that say no device placed on this one. */
export function onDevice<T>(device: Device, make: () => T): T {
  const mode: DispatchMode = {
    name: "on a device",
    wrapInput: (t: Tensor) => t,
    dispatch: (op, args) => {
      const places = op.schema.args.some(({ key }) => key === "device");
      return dispatch(op, places && args.device === null ? { ...args, device } : args);
    },
    gradOwner: (t: Tensor) => t,
    materialize: (t: Tensor) => t,
    trackRead: (_object, _key, value) => value,
  };
  return withMode(mode, make);
}
