// Starts a program in a process group of its own, which the system ends when this process dies.
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

namespace anneal {

struct ProgramStart {
  std::vector<std::string> arguments;    // the first is the path of the program
  std::vector<std::string> environment;  // NAME=value; empty: this process's own
  int output, error;                     // descriptors that become its standard output and error
  int death_signal;                      // what it gets when the thread that starts it ends; 0: none
  int input = -1;                        // its standard input; -1: an empty one
};

// No signal is blocked in it. The caller waits for the process. Throws UserError(kResources) where the
// program cannot be started.
pid_t start_program(const ProgramStart& start);

}  // namespace anneal
