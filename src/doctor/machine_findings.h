// Processor, memory, disks and ports.
#pragma once
#include <filesystem>

#include "doctor/finding.h"

namespace anneal {

Finding processor_finding();
Finding memory_finding();
Finding address_space_finding();
Finding shared_memory_finding();
Finding open_files_finding();

// Whether `folder`, which need not be there yet, can be written, and what is free there. `holds`: what of a
// run.
Finding disk_finding(const std::string& holds, const std::filesystem::path& folder,
                     const std::string& flag_for_another);

// Where the processes of a run meet.
Finding port_finding();

Findings machine_findings();  // all of these

}  // namespace anneal
