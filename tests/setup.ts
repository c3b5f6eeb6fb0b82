/** Loaded before every test file: the verifier of every intermediate form runs after every pass. */
import { config } from "../src/core/mod.ts";

config().verify = true;
