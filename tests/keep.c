/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Loaded in front of sanitised tests: libraries stay where they are when they are closed, so that what a driver leaks can be told by its name
 * (lsan.supp), as that of an unloaded one cannot.
 */
int dlclose(void *handle);

int dlclose(void *handle)
{
    (void)handle;
    return 0;
}
