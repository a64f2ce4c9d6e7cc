/** Skips the tests that this run leaves out. */

import { basename } from 'node:path';
import { beforeEach } from 'vitest';
import { whyLeftOut } from './left_out';
import { RUN } from './run';

beforeEach(({ task, skip }) => {
  const names = [task.name];
  for (let group = task.suite; group; group = group.suite) names.push(group.name);
  const reason = whyLeftOut(RUN, basename(task.file.name), names);
  if (reason !== null) skip(reason);
});
