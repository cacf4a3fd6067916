/**
 * An error the user can mend: bad input, an unsupported request, a missing file.
 * The command line prints its message as one paragraph, without a stack trace.
 */
export class UserError extends Error {
  override readonly name = "UserError";
}
