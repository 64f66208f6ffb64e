// Prints what this kernel's verifier makes of each program of a BPF object: verifier_stats OBJECT. One program is loaded
// at a time, so that one that is refused does not hide the others. Always exits 0: programs that a kernel refuses have
// substitutes.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int say_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

// The line of the verifier's log that says why, or how much it did.
static const char *line_of(char *log, const char *word)
{
	for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n"))
		if (strstr(line, word))
			return line;
	return NULL;
}

// "processed 11 insns (limit ..." up to some 6.x, "insns processed 2291+2022" after it.
static const char *count_in(const char *line, char *count, size_t size)
{
	const char *at = strstr(line, "processed ") + strlen("processed ");
	size_t length = strspn(at, "0123456789+");

	if (length >= size)
		length = size - 1;
	memcpy(count, at, length);
	count[length] = 0;
	return count;
}

static void last_line(const char *log, char *line, size_t size)
{
	const char *begin = log;

	line[0] = 0;
	for (const char *at = log; *at; at = begin) {
		const char *end = strchr(at, '\n');
		size_t length = end ? (size_t)(end - at) : strlen(at);

		if (length && strncmp(at, "processed ", 10) && strncmp(at, "stack depth", 11) &&
		    strncmp(at, "verification time", 17)) {
			if (length >= size)
				length = size - 1;
			memcpy(line, at, length);
			line[length] = 0;
		}
		if (!end)
			break;
		begin = end + 1;
	}
}

static void try_program(const char *path, const char *name)
{
	static char log[1 << 16], why[256];
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program;
	struct bpf_map *map;
	const char *line;
	int error;

	if (!object)
		return;
	log[0] = 0;
	bpf_object__for_each_program(program, object) {
		bpf_program__set_autoload(program, strcmp(bpf_program__name(program), name) == 0);
		bpf_program__set_log_buf(program, log, sizeof(log));
		bpf_program__set_log_level(program, 4); // statistics only
	}
	bpf_object__for_each_map(map, object) {
		if (bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF)
			bpf_map__set_max_entries(map, 1 << 16); // the kernel clears them
	}
	error = bpf_object__load(object);
	if (error) {
		last_line(log, why, sizeof(why));
		printf("verifier %-24s refused: %s%s%s\n", name, strerror(-error), why[0] ? ": " : "", why);
	} else {
		line = line_of(log, "processed ");
		printf("verifier %-24s %s instructions\n", name, line ? count_in(line, why, sizeof(why)) : "unknown");
	}
	bpf_object__close(object);
}

int main(int argc, char **argv)
{
	struct bpf_object *object;
	struct bpf_program *program;

	if (argc != 2) {
		fprintf(stderr, "verifier_stats OBJECT\n");
		return 2;
	}
	libbpf_set_print(say_nothing);
	object = bpf_object__open_file(argv[1], NULL);
	if (!object) {
		fprintf(stderr, "verifier_stats: cannot open %s: %s\n", argv[1], strerror(errno));
		return 2;
	}
	printf("verifier, object %s\n", strrchr(argv[1], '/') ? strrchr(argv[1], '/') + 1 : argv[1]);
	bpf_object__for_each_program(program, object)
		try_program(argv[1], bpf_program__name(program));
	bpf_object__close(object);
	return 0;
}
