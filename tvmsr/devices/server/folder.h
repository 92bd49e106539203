/* Folders of sessions: made for one session, removed with all that is in them, also after a server that was killed. */
#ifndef TVMSR_DEVICE_FOLDER_H
#define TVMSR_DEVICE_FOLDER_H

#include <limits.h>

/* Where sessions will have theirs: `wanted`, or where it is NULL $TMPDIR/tvmsr-device-UID. Must be ours alone. Folders of
 * servers that are no more are removed there. 0, or -1 after a line in the log.
 */
int open_base_folder(const char *wanted, char *path, int size);

/* Take the base folder away again where it is the standard one, and empty. */
void close_base_folder(const char *wanted, const char *path);

/* Make a folder for a session. Returns the descriptor that locks it: while it is open, no other server removes the folder.
 * -1 after a line in the log.
 */
int make_session_folder(const char *base, char *path, int size);

/* Remove a folder and all in it, however deep, without following links. 0 where nothing is left. */
int remove_tree(const char *path);

#endif
