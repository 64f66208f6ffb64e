// The report of the design document, built in code: the tests change one fact of it and look at what changes.
#pragma once

#include <string>

#include "report/report.hpp"

namespace sockleak::sample {

Endpoint inet(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d, std::uint16_t port);
Frame frame(std::string function, std::string file = {}, std::uint32_t line = 0);
/// A frame that has only its place in a module.
Frame bare_frame(std::string module, std::uint64_t offset, std::string function = {});
ReportSocket socket(std::uint64_t cookie, std::int32_t fd);
/// 37 of 4849 connected sockets in CLOSE_WAIT.
ReportFinding finding();
/// One such finding in a complete session.
Report report();
/// A session without findings.
Report clean_report();
/// Every program-given string is an attack on whoever prints it.
Report ownerless_report();  // and a socket that only an io_uring slot keeps
Report hostile_report();

}  // namespace sockleak::sample
