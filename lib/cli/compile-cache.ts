/** Imported before all others: Node 22.1 and later keep compiled code, in a folder of the system's for such files, from one command to the next. */
import module from 'node:module';

(module as { readonly enableCompileCache?: () => unknown }).enableCompileCache?.();
