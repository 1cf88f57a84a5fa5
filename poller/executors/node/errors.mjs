// Errors as Lambda's Node runtimes show them: type, message, and the lines of the stack.

const OWN_FOLDER = new URL(".", import.meta.url).href;

// What the runtime, not the function's code, finds wrong.
export class Fault extends Error {
  constructor(name, message, stack = `${name}: ${message}`) {
    super(message);
    this.name = name;
    this.stack = stack;
  }
}

// Lambda's error object, for whatever was thrown.
export function describe(thrown) {
  try {
    if (thrown instanceof Error || isLikeError(thrown)) {
      return { errorType: thrown.name, errorMessage: thrown.message, trace: ownLines(thrown.stack) };
    }
    return { errorType: typeof thrown, errorMessage: String(thrown), trace: [] };
  } catch (error) {
    return { errorType: "handled", errorMessage: `An error that cannot be read: ${error?.message}`, trace: [] };
  }
}

// One of another realm (`vm`), which is no instance of this one's Error.
const isLikeError = (thrown) => [thrown?.name, thrown?.message, thrown?.stack].every((part) => typeof part === "string");

// The lines that are the function's: the frames of these files say nothing about it.
export const ownLines = (stack) =>
  String(stack ?? "")
    .split("\n")
    .filter((line) => !line.includes(OWN_FOLDER));

// What an action returns or throws.
export function attempt(action) {
  try {
    return action();
  } catch (error) {
    return error;
  }
}
