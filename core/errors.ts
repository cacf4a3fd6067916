/**
 * An error the user can mend: bad input, an unsupported request, a missing file.
 * The command line prints its message as one paragraph, without a stack trace.
 */
export class UserError extends Error {
  /** For telling errors apart. */
  override readonly name = "UserError";
}
